# docflow in a container. Everything comes from the hashed locks; the running image holds an
# environment and nothing else: no pip, no compiler, no shell script. State lives in one volume, so
# the root file system can be read-only:
#
#   docker build --tag docflow:dev .
#   docker run --rm --read-only --volume docflow:/var/lib/docflow docflow:dev init
#   docker run --read-only --volume docflow:/var/lib/docflow --publish 127.0.0.1:8460:8460 docflow:dev
#
# tests/packaging plays these steps without a container engine.

ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS builder
WORKDIR /src
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 UV_NO_CACHE=1

# The environment changes seldom; it is a layer of its own, made from the locks alone.
COPY requirements/ requirements/
RUN python -m venv /opt/build \
 && /opt/build/bin/pip install --quiet --require-hashes \
      -r requirements/bootstrap.txt -r requirements/build.txt
RUN python -m venv --without-pip /opt/docflow \
 && /opt/build/bin/uv pip install --quiet --python /opt/docflow/bin/python --compile-bytecode \
      --require-hashes -r requirements/runtime.txt

COPY pyproject.toml README.md CHANGELOG.md LICENSE ./
COPY .ci/hatch_build.py .ci/
COPY migrations/ migrations/
COPY workflows/ workflows/
COPY src/ src/
RUN /opt/build/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /dist . \
 && /opt/build/bin/uv pip install --quiet --python /opt/docflow/bin/python --compile-bytecode \
      --no-deps --no-index /dist/*.whl


FROM ${BASE}
# bubblewrap keeps LibreOffice, where an image derived from this one installs it, from everything else. It needs
# user and mount namespaces: where the engine's default profiles refuse them, run it with
#   --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined
# or a profile that admits unshare, mount and pivot_root. Without it, production converts no office file.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends bubblewrap \
 && rm -rf /var/lib/apt/lists/*
RUN useradd --system --uid 10001 --user-group --home-dir /var/lib/docflow --shell /usr/sbin/nologin docflow \
 && install --directory --owner docflow --group docflow --mode 0700 /var/lib/docflow
COPY --from=builder /opt/docflow /opt/docflow

# TMPDIR: uploads and signing use files that must not go to a read-only or tiny /tmp.
ENV PATH=/opt/docflow/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DOCFLOW_DATA_DIR=/var/lib/docflow \
    DOCFLOW_HOST=0.0.0.0 \
    DOCFLOW_PORT=8460 \
    TMPDIR=/var/lib/docflow

WORKDIR /var/lib/docflow
VOLUME /var/lib/docflow
EXPOSE 8460
USER 10001:10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
  CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ['DOCFLOW_PORT'] + '/healthz', timeout=4)"]
ENTRYPOINT ["docflow"]
CMD ["serve"]
