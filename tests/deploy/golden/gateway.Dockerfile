FROM python:3.13-slim AS dependencies
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_PROGRESS_BAR=off PIP_ROOT_USER_ACTION=ignore
RUN python3 -m venv /opt/venv
# Made from here.
COPY requirements/ /requirements/
RUN /opt/venv/bin/pip install -r /requirements/requirements.txt

COPY shipway/ /opt/venv/shipway-source/shipway/
# The package goes where its dependencies are, whatever the base image's Python is called.
RUN mv /opt/venv/shipway-source/shipway "$(/opt/venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/shipway" \
    && rmdir /opt/venv/shipway-source \
    && /opt/venv/bin/python -m compileall -q /opt/venv/lib

FROM python:3.13-slim
LABEL org.opencontainers.image.title="shipway gateway" \
      org.opencontainers.image.version="1.2.3" \
      org.opencontainers.image.base.name="python:3.13-slim"
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
COPY --from=dependencies /opt/venv /opt/venv
COPY entrypoint.sh /usr/local/bin/entrypoint.sh
# A volume that is mounted here starts as this folder is, so it belongs to the user below.
COPY --chown=10001:10001 state/ /var/lib/shipway/
WORKDIR /etc/shipway
USER 10001:10001
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["python", "-c", "import http.client, os; c = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('SHIPWAY_ADMIN_PORT', 8081)), timeout=2); c.request('GET', '/readyz'); raise SystemExit(not 200 <= c.getresponse().status < 300)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/bin/sh", "/usr/local/bin/entrypoint.sh"]
CMD ["python", "-m", "shipway", "gateway", "/etc/shipway", "--state", "/var/lib/shipway"]
