# syntax=docker/dockerfile:1
# A static binary on an empty image: CA certificates, no shell, user 65532. Builds for amd64 and arm64:
#   docker buildx build --platform linux/amd64,linux/arm64 -t penstock .

FROM --platform=$BUILDPLATFORM golang:1.26 AS build
ENV GOCACHE=/go/build-cache
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG TARGETOS=linux
ARG TARGETARCH
ARG VERSION=dev
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/go/build-cache \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /out/penstock ./cmd/penstock && \
    mkdir -p /out/var/lib/penstock /out/var/log/penstock /out/run/penstock

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/penstock /usr/local/bin/penstock
COPY gateway.yaml /etc/penstock/gateway.yaml
# Where the gateway's user may write: state (writes.path, cost.file), log files, and the admin listener's socket.
COPY --from=build --chown=65532:65532 /out/var/ /var/
COPY --from=build --chown=65532:65532 /out/run/ /run/
WORKDIR /etc/penstock
USER 65532:65532
# A container is reached from outside through its own interface; the admin listener stays on loopback.
ENV PENSTOCK_LISTEN=:8080
EXPOSE 8080
# Survives the container's restart; name a volume to have it survive the container.
VOLUME /var/lib/penstock
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 \
    CMD ["/usr/local/bin/penstock", "healthcheck", "--config", "/etc/penstock/gateway.yaml"]
ENTRYPOINT ["/usr/local/bin/penstock"]
CMD ["run", "--config", "/etc/penstock/gateway.yaml"]
