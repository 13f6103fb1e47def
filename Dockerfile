# One image for every verb of the command: worker, catalog, simulator, topics.
FROM python:3.12.11-slim-bookworm AS packages
COPY requirements.lock /
RUN python -m venv /opt/venv \
 && /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r /requirements.lock

FROM python:3.12.11-slim-bookworm
COPY --from=packages /opt/venv /opt/venv
# Plain folders on the path: building a wheel would need tools that the lock file does not hold.
COPY schemas /opt/repricer/schemas
COPY pricing_core /opt/repricer/pricing_core
COPY streams /opt/repricer/streams
RUN install -d -o 10001 -g 10001 /data
ENV PATH=/opt/venv/bin:$PATH PYTHONPATH=/opt/repricer XDG_CACHE_HOME=/tmp/cache PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /data
VOLUME /data
ENTRYPOINT ["python", "-m", "streams.cli"]
CMD ["--help"]
