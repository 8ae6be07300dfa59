FROM python:3.13-slim AS dependencies
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_PROGRESS_BAR=off PIP_ROOT_USER_ACTION=ignore
RUN python3 -m venv /opt/venv
# Made from uv.lock.
COPY requirements/ /requirements/
RUN /opt/venv/bin/pip install --no-deps --require-hashes -r /requirements/requirements.txt
RUN /opt/venv/bin/pip install uvicorn==0.54.0

FROM python:3.13-slim
LABEL org.opencontainers.image.title="assistant api" \
      org.opencontainers.image.base.name="python:3.13-slim"
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
STOPSIGNAL SIGTERM
ENTRYPOINT ["/bin/sh", "/usr/local/bin/entrypoint.sh"]
ENV PORT=8000 HOME=/tmp
WORKDIR /app
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=2s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import http.client, os; c = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('PORT', 8000)), timeout=2); c.request('GET', '/healthz?deep=1'); raise SystemExit(not 200 <= c.getresponse().status < 300)"]
CMD ["uvicorn", "assistant.main:create", "--factory", "--host", "0.0.0.0", "--no-access-log", "--log-level", "warning", "--timeout-keep-alive", "300", "--timeout-graceful-shutdown", "59"]
COPY entrypoint.sh /usr/local/bin/entrypoint.sh
COPY --from=dependencies /opt/venv /opt/venv
COPY app/ /app/
