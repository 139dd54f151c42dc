# openpipe-mock in a container; docs/containers.md says how to use it.

FROM python:3.13-slim AS build
WORKDIR /source
COPY . .
RUN python -m venv /opt/mock && /opt/mock/bin/pip install --no-cache-dir '.[redis]'

FROM python:3.13-slim
COPY --from=build /opt/mock /opt/mock
ENV PATH=/opt/mock/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    OPENPIPE_MOCK_HOST=0.0.0.0
# A number, so that an orchestrator can see that it is not root. The mock writes nothing, so it owns nothing.
USER 10001:10001
WORKDIR /config
EXPOSE 6736
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s --retries=3 CMD ["python", "-c", "import http.client, os, sys; ask = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('OPENPIPE_MOCK_PORT', 6736)), timeout=2); ask.request('GET', '/_mock/health'); sys.exit(ask.getresponse().status != 200)"]
ENTRYPOINT ["openpipe-mock"]
CMD ["serve"]
