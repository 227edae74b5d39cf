# syntax=docker/dockerfile:1

# The binaries are static, so the image holds them, the certificates that TLS to
# MySQL and Redis is verified with, and nothing else.
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath \
    -ldflags "-s -w -X github.com/driveshare/downstream-node/internal/program.version=${VERSION}" \
    -o /out/ ./cmd/downstream-node ./cmd/downstream-operator

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/ /
COPY LICENSE /licenses/LICENSE
USER 65532:65532
EXPOSE 5000 9090
ENTRYPOINT ["/downstream-node"]
