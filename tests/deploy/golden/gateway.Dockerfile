FROM python:3.13-slim AS dependencies
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_PROGRESS_BAR=off PIP_ROOT_USER_ACTION=ignore
RUN python3 -m venv /opt/venv
# Made from here.
COPY requirements/ /requirements/
RUN /opt/venv/bin/pip install -r /requirements/requirements.txt
COPY shipway/ /opt/shipway/shipway/
RUN /opt/venv/bin/python -m compileall -q /opt/shipway

FROM python:3.13-slim
LABEL org.opencontainers.image.title="shipway gateway" \
      org.opencontainers.image.version="1.2.3" \
      org.opencontainers.image.base.name="python:3.13-slim"
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
STOPSIGNAL SIGTERM
ENTRYPOINT ["/bin/sh", "/usr/local/bin/entrypoint.sh"]
ENV PYTHONPATH=/opt/shipway
WORKDIR /etc/shipway
USER 10001:10001
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import http.client, os; c = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('SHIPWAY_ADMIN_PORT', 8081)), timeout=3); c.request('GET', '/readyz'); raise SystemExit(not 200 <= c.getresponse().status < 300)"]
CMD ["python", "-m", "shipway", "gateway", "/etc/shipway", "--state", "/var/lib/shipway"]
# A volume that is mounted here starts as this folder is, so it belongs to the user above.
COPY --chown=10001:10001 state/ /var/lib/shipway/
COPY entrypoint.sh /usr/local/bin/entrypoint.sh
COPY --from=dependencies /opt/venv /opt/venv
COPY --from=dependencies /opt/shipway /opt/shipway
