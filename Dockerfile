# syntax=docker/dockerfile:1
# Two stages: a builder with a C compiler (aws-lc needs one), and an image that holds the binary, the public roots and
# nothing to write to but the state volume.
#
#   docker build -t vestibule .
#   docker run --read-only --cap-drop ALL --security-opt no-new-privileges -p 443:8443 \
#     -v ./config:/etc/vestibule/config:ro -v ./certs:/etc/vestibule/certs:ro -v vestibule-state:/etc/vestibule/state \
#     vestibule

FROM rust:1.95-slim-bookworm AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends cmake gcc g++ libc6-dev make perl \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY src src
# Without the demo: an emulated tenant has no place in an image that faces the world.
RUN cargo build --locked --profile dist --no-default-features --bin vestibule \
 && install -d -o 10001 -g 10001 -m 0700 /out/state \
 && install -m 0755 target/dist/vestibule /out/vestibule

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin vestibule
COPY --from=build /out/vestibule /usr/local/bin/vestibule
COPY --from=build --chown=10001:10001 /out/state /etc/vestibule/state
USER 10001:10001
WORKDIR /etc/vestibule
VOLUME /etc/vestibule/state
# Above 1024, so that no capability is needed; publish it as 443.
EXPOSE 8443
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/vestibule"]
CMD ["serve", "--config", "/etc/vestibule/config"]
