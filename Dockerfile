# Container image of the syncer: one static binary, no shell, no root user.
# `image/build.sh` builds the same image without a daemon and without a registry.
FROM rust:1.95-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends musl-tools
WORKDIR /src
COPY . .
RUN image/files.sh /out

FROM scratch
COPY --from=build /out/ /
USER 65532:65532
# Port of /metrics, /healthz and /readyz; the configuration sets the address.
EXPOSE 9090
ENTRYPOINT ["/usr/local/bin/tenet-syncer"]
CMD ["--config", "/etc/tenet/syncer.yaml"]
