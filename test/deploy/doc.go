// Package deploy holds the files of deploy/ to what reads them: Kubernetes' own types and kustomize, the Compose specification, the OpenTelemetry
// Collector, Prometheus, and the gateway's binary. It is a module of its own, for none of these is anything that the gateway needs.
package deploy
