# syntax=docker/dockerfile:1
# One image for every role; docker-compose.yml says which command each service runs.

FROM python:3.13-slim-trixie AS build
WORKDIR /src
COPY requirements.lock ./
RUN python -m venv /venv \
 && /venv/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY schema schema
COPY producer producer
COPY workers workers
COPY gateway gateway
COPY simulator simulator
RUN /venv/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.13-slim-trixie AS runtime
# The SDKs trust the certificates of the system: the newest list there is.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin promptmill \
 && install -d -o 10001 -g 10001 -m 700 /data
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PROMPTMILL_STATE_DIR=/data \
    PROMPTMILL_LOG_FORMAT=json
USER 10001:10001
WORKDIR /data
VOLUME /data
CMD ["promptmill", "--help"]
