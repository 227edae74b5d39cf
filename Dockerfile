# syntax=docker/dockerfile:1

# The binaries are static, so the image contains only them and the certificate
# authorities for TLS to MySQL and Redis. hack/image makes the same image.
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY . .
ARG VERSION=dev
# go build downloads only the modules of these two programs.
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -trimpath \
    -ldflags "-s -w -X github.com/driveshare/downstream-node/internal/program.version=${VERSION}" \
    -o /out/ ./cmd/downstream-node ./cmd/downstream-operator

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/ /
COPY LICENSE /licenses/LICENSE
USER 65532:65532
EXPOSE 5000 9090
ENTRYPOINT ["/downstream-node"]
