# The bridge as a container. Build (BuildKit): docker build -t bridge:0.1.0 .
# Behind a package mirror:                     docker build --secret id=pip_conf,src=pip.conf -t bridge:0.1.0 .
#
# HOST is 0.0.0.0 in here, so the bridge refuses to start without a key: give API_KEY (or API_KEY_FILE), or say
# ALLOW_ANONYMOUS=true where something in front of it checks who calls, and then in ALLOWED_HOSTS the names it is called by.
ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS builder
WORKDIR /src
RUN python3 -m venv /build && python3 -m venv --without-pip /opt/bridge

# Dependencies first: this layer is rebuilt only when the lock changes. Only wheels, so no compiler is ever needed.
COPY requirements.txt requirements-build.txt ./
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    /build/bin/pip --python /opt/bridge/bin/python install \
      --no-cache-dir --only-binary :all: --require-hashes -r requirements.txt
# The build backend has a lock of its own and stays in this stage.
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    /build/bin/pip install --no-cache-dir --only-binary :all: --require-hashes -r requirements-build.txt

COPY pyproject.toml README.md LICENSE ./
COPY bridge ./bridge
RUN /build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels . \
    && /build/bin/pip --python /opt/bridge/bin/python install --no-cache-dir --no-index --no-deps /wheels/*.whl

FROM ${BASE_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="bridge" \
      org.opencontainers.image.description="An HTTP front door to a message log: Apache Iggy, or an embedded durable log" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
ENV PATH=/opt/bridge/bin:$PATH \
    HOST=0.0.0.0 \
    PORT=8000 \
    DATA_DIR=/data \
    LOG_FORMAT=json \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# The same base in both stages, so the environment's link to its interpreter holds here too.
COPY --from=builder /opt/bridge /opt/bridge
RUN install -d -o 10001 -g 10001 -m 0700 /data
WORKDIR /
# A number and not a name: Kubernetes' runAsNonRoot can only check a number.
USER 10001:10001
VOLUME ["/data"]
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=4s --start-period=15s --retries=3 CMD ["/opt/bridge/bin/bridge", "health"]
ENTRYPOINT ["/opt/bridge/bin/bridge"]
CMD ["serve"]
