# Container image of the syncer: one binary, no shell, no root user.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --bin tenet-syncer

FROM debian:12-slim
COPY --from=build /src/target/release/tenet-syncer /usr/local/bin/tenet-syncer
USER 65532:65532
# Port of /metrics, /healthz and /readyz; the configuration sets the address.
EXPOSE 9090
ENTRYPOINT ["/usr/local/bin/tenet-syncer"]
CMD ["--config", "/etc/tenet/syncer.yaml"]
