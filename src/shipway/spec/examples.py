"""Example app files for the reference page, one a section. Each is a whole file that loads, which a test proves."""

from collections.abc import Mapping

EXAMPLES: Mapping[str, str] = {
    "": """
name = "assistant"

[services.api]
app = "assistant.main:app"

[models.chat]
upstreams = ["local/smollm2-135m-instruct"]
""",
    "Service": """
name = "assistant"

[services.api]
app = "assistant.main:create_app"
factory = true
replicas = 2
drain = "1m"
env = { LOG_LEVEL = "info", SEARCH_KEY = "env:SEARCH_KEY" }

[services.web]
command = ["node", "server.js"]
cwd = "web"
routes = ["/web"]
public = true

[services.search]
image = "ghcr.io/team/search:1.2"
routes = ["/search"]

[services.archive]
url = "http://archive.internal:9000"
routes = ["/archive"]
""",
    "Route": """
name = "assistant"

[services.api]
app = "assistant.main:app"
routes = ["/", { path = "/about", public = true }]
""",
    "ServiceRelease": """
name = "assistant"

[services.api.releases]
"v1.2" = { url = "http://api-old.internal:9000", weight = 9 }
"v1.3" = { url = "http://api-new.internal:9000", weight = 1 }
""",
    "Health": """
name = "assistant"

[services.api]
app = "assistant.main:app"
health = { path = "/healthz", interval = "10s", start = "2m" }

[services.web]
command = ["node", "server.js"]
routes = ["/web"]
health = "/ready"

[services.archive]
url = "http://archive.internal:9000"
routes = ["/archive"]
health = { path = "/up", interval = "15s" }
""",
    "Resources": """
name = "assistant"

[services.api]
app = "assistant.main:app"
resources = { cpu = 0.5, memory = "512MiB" }
""",
    "Example": """
name = "assistant"

[services.api]
app = "assistant.main:app"
example = { path = "/summary", json = { text = "A long story." } }

[services.web]
command = ["node", "server.js"]
routes = ["/web"]
example = "/web/search?q=harbour"
""",
    "Provider": """
name = "assistant"

[providers.openai]
api_key = "file:secrets/openai-key"

[providers.vllm]
kind = "openai"
base_url = ["http://gpu-1.internal:8000/v1", "http://gpu-2.internal:8000/v1"]
health = "/health"
headers = { X-Team = "search", Authorization = "env:VLLM_AUTHORIZATION" }

[providers.local]
context = 8192
slots = 4

[providers.eastus]
kind = "azure"
base_url = "https://assistant.openai.azure.com/openai/v1"
api_key = "env:AZURE_OPENAI_API_KEY"

[providers.bedrock]
region = "eu-central-1"
profile = "assistant"

[models.chat]
upstreams = ["vllm/qwen3-8b", "eastus/gpt-5-mini", "anthropic/claude-sonnet-4-5", "local/smollm2-135m-instruct"]
may_drop = ["logit_bias", "messages[].name"]
""",
    "ProviderTls": """
name = "assistant"

[providers.vllm]
kind = "openai"
base_url = "https://gpu.internal:8443/v1"
tls = { ca = "tls/internal-ca.pem", cert = "tls/client.pem" }

[models.chat]
upstreams = ["vllm/qwen3-8b"]
""",
    "Model": """
name = "assistant"

[models.chat]
upstreams = ["openai/gpt-5-mini", "local/smollm2-135m-instruct"]
balance = "least-in-flight"

[models.draft]
upstreams = ["local/models/draft.gguf"]
""",
    "Upstream": """
name = "assistant"

[models.chat]
upstreams = [
  { model = "openai/gpt-5-mini", weight = 9 },
  { model = "openai/gpt-5-nano", weight = 1 },
  "local/smollm2-135m-instruct",
]
""",
    "ModelRelease": """
name = "assistant"

[models.chat.releases.current]
upstreams = ["openai/gpt-5-mini", "local/smollm2-135m-instruct"]
weight = 9

[models.chat.releases.candidate]
upstreams = ["openai/gpt-5-nano"]
weight = 1
""",
    "Price": """
name = "assistant"

[models.chat]
upstreams = [
  "openai/gpt-5-mini",
  { model = "local/smollm2-135m-instruct", price = { input = "0.02 USD/Mtok", output = "0.06 USD/Mtok" } },
]

[models.chat-eu]
upstreams = ["eu/gpt-5-mini"]

[models.chat-eu.price]
input = "0.28 USD/Mtok"
cached_read = "0.03 USD/Mtok"
output = "2.2 USD/Mtok"

[providers.eu]
kind = "openai"
base_url = "https://models.example.eu/v1"
""",
    "Cache": """
name = "assistant"

[models.chat]
upstreams = ["openai/gpt-5-mini"]

[models.chat.cache]
ttl = "1h"
store = "env:REDIS_URL"
""",
    "Semantic": """
name = "assistant"

[models.chat]
upstreams = ["openai/gpt-5-mini"]

[models.chat.cache]
ttl = "1h"

[models.chat.cache.semantic]
embeddings = "small-embed"

[models.small-embed]
upstreams = ["openai/text-embedding-3-small"]
""",
    "Guard": """
name = "assistant"

[guards.words]
call = "assistant.guards:check"
deadline = "100ms"

[guards.classifier]
url = "http://classifier.internal:9100/check"
headers = { Authorization = "env:CLASSIFIER_KEY" }
deadline = "400ms"
on_failure = "pass"
window = 1000
hold = "1s"
reasons = ["jailbreak", "self_harm"]

[models.chat]
upstreams = ["openai/gpt-5-mini"]
guards = ["words", { name = "classifier", when = "before" }]
""",
    "GuardUse": """
name = "assistant"

[guards.leaks]
call = "assistant.guards:no_leaks"

[models.chat]
upstreams = ["openai/gpt-5-mini"]
guards = [{ name = "leaks", when = "after" }]
""",
    "Limits": """
name = "assistant"

[services.api]
app = "assistant.main:app"

[limits]
default = { requests = "100k/d" }
""",
    "Limit": """
name = "assistant"

[services.api]
app = "assistant.main:app"

[limits.default]
requests = "60/min"
burst = 10

[environments.prod.limits.default]
requests = "600/min"
""",
    "Gateway": """
name = "assistant"

[services.api]
app = "assistant.main:app"

[gateway]
port = 8443
max_body = "8MiB"
drain = "45s"
session_header = "x-conversation-id"
""",
    "Timeouts": """
name = "assistant"

[services.api]
app = "assistant.main:app"

[gateway.timeouts]
connect = "2s"
first_byte = "5m"
total = "1h"
""",
    "Tls": """
name = "assistant"

[services.api]
app = "assistant.main:app"

[gateway.tls]
cert = "tls/chain.pem"
key = "tls/key.pem"
""",
    "Objectives": """
name = "assistant"

[models.chat]
upstreams = ["openai/gpt-5-mini"]

[objectives]
availability = "99.5%"
first_token = "95% under 750ms"
cost = "95% under 0.02 USD"
quality = "90% at least 0.7"

[environments.prod.objectives]
first_token = "95% under 500ms"
""",
    "Build": """
name = "assistant"

[services.api]
app = "assistant.main:app"

[build]
base_image = "registry.example.com/python:3.13-slim"
requirements = "requirements/production.txt"
exclude = ["notebooks/", "*.parquet"]
""",
    "Rollout": """
name = "assistant"

[services.api]
app = "assistant.main:app"
health = "/healthz"

[environments.staging]
target = "docker"
rollout = "blue_green"

[environments.prod]
target = "docker"

[environments.prod.rollout]
strategy = "canary"
steps = ["5%", "25%", "50%"]
min_time = "5m"
min_requests = 500
deadline = "2h"
""",
    "Environment": """
name = "assistant"

[services.api]
app = "assistant.main:app"

[models.chat]
upstreams = ["local/smollm2-135m-instruct"]

[environments.prod.services.api]
replicas = 4

[environments.prod.models.chat]
upstreams = ["openai/gpt-5-mini"]
""",
}
"""By the name of the section's definition in the schema; the empty name is the file's top."""
