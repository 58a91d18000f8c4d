{{- /* Generated from src/core/egress/address-rules.ts and values.yaml by `npm run generate`. */ -}}
{{- define "postrider.metadataAddressesIPv4" -}}
# cloud metadata (AWS, GCP, Azure, OpenStack)
- "169.254.169.254/32"
# AWS task metadata
- "169.254.170.2/32"
# AWS pod identity
- "169.254.170.23/32"
# Azure WireServer
- "168.63.129.16/32"
# Alibaba metadata
- "100.100.100.200/32"
# Oracle metadata
- "192.0.0.192/32"
# Tencent metadata
- "169.254.0.23/32"
{{- end }}
{{- define "postrider.metadataAddressesIPv6" -}}
# AWS metadata over IPv6
- "fd00:ec2::254/128"
# AWS pod identity over IPv6
- "fd00:ec2::23/128"
# GCP metadata over IPv6
- "fd20:ce::254/128"
{{- end }}
{{- define "postrider.valueGroups" -}}
- global
- image
- crds
- ingest
- ingest.service
- ingest.ingress
- ingest.httpRoute
- api
- api.service
- api.ingress
- api.httpRoute
- metrics
- metrics.service
- tls
- tls.ingest
- tls.ingest.clientCA
- tls.ingest.certManager
- tls.ingest.certManager.issuerRef
- tls.api
- tls.api.certManager
- tls.api.certManager.issuerRef
- tls.metrics
- tls.metrics.certManager
- tls.metrics.certManager.issuerRef
- serviceMonitor
- podMonitor
- prometheusRule
- prometheusRule.slo
- prometheusRule.slo.targets
- dashboards
- networkPolicy
- persistence
- serviceAccount
- rbac
- rbac.aggregate
- uninstall
- uninstall.serviceAccount
- podDisruptionBudget
- openshift
- startupProbe
- livenessProbe
- readinessProbe
- statefulSet
{{- end }}
