FROM rust:1.95.0-slim-bookworm AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock build.rs ./
COPY proto proto
COPY src src
RUN cargo build --release --locked \
    && install -D target/release/postrider /out/usr/local/bin/postrider \
    && install -d -o 65532 -g 65532 /out/var/lib/postrider \
    && install -d /out/etc/postrider \
    && printf '[server]\nlisten = "0.0.0.0:50051"\nhealth_listen = "0.0.0.0:50052"\n[storage]\ndata_dir = "/var/lib/postrider"\n' \
        >/out/etc/postrider/postrider.toml

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /out/usr/local/bin/postrider /usr/local/bin/postrider
COPY --from=build /out/etc/postrider /etc/postrider
COPY --from=build --chown=65532:65532 /out/var/lib/postrider /var/lib/postrider
ENV POSTRIDER_CONFIG=/etc/postrider/postrider.toml
USER 65532:65532
VOLUME /var/lib/postrider
EXPOSE 50051 50052
ENTRYPOINT ["/usr/local/bin/postrider"]
CMD ["serve"]
