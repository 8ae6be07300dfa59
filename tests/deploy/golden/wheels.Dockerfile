FROM python:3.13-slim AS dependencies
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_PROGRESS_BAR=off PIP_ROOT_USER_ACTION=ignore
RUN python3 -m venv /opt/venv
COPY wheels/ /wheels/
# Made from requirements.txt.
COPY requirements/ /requirements/
RUN /opt/venv/bin/pip install --only-binary=:all: --no-index --find-links=/wheels -r /requirements/requirements.txt

FROM python:3.13-slim
LABEL org.opencontainers.image.title="assistant api" \
      org.opencontainers.image.base.name="python:3.13-slim"
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
STOPSIGNAL SIGTERM
ENTRYPOINT ["/bin/sh", "/usr/local/bin/entrypoint.sh"]
ENV PORT=8000 HOME=/tmp PYTHONPATH=/app/src
WORKDIR /app/tools
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=2s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, socket; socket.create_connection(('127.0.0.1', int(os.environ.get('PORT', 8000))), 2)"]
CMD ["python", "server.py", "--name", "a \"b\""]
COPY entrypoint.sh /usr/local/bin/entrypoint.sh
COPY --from=dependencies /opt/venv /opt/venv
COPY app/ /app/
