{{- /* Flags of the API server in k3s and k0s, as the JSON of {"list": NAME=VALUE, "map": {NAME: VALUE}}. */ -}}
{{- define "tenet.distro.apiServer" -}}
{{- $flags := dict "endpoint-reconciler-type" "none" "anonymous-auth" "true" "kubelet-certificate-authority" "" "kubelet-preferred-address-types" (include "tenet.kubeletAddress" .) "service-node-port-range" "1-65535" -}}
{{- if and (eq .Values.distro "k3s") (eq .Values.store.type "external") -}}
{{- $_ := set $flags "etcd-prefix" (include "tenet.prefix" .) -}}
{{- end -}}
{{- include "tenet.distro.flags" (dict "flags" $flags "further" .Values.apiServer.extraArgs) -}}
{{- end }}

{{- /* Flags of the controller manager in k3s and k0s, in the same form. */ -}}
{{- define "tenet.distro.controllerManager" -}}
{{- $flags := dict "controllers" (include "tenet.controllers" .) "allocate-node-cidrs" "false" -}}
{{- include "tenet.distro.flags" (dict "flags" $flags "further" .Values.controllerManager.extraArgs) -}}
{{- end }}

{{- /* Those of Tenet, unless the user sets the same flag, then those of the user. */ -}}
{{- define "tenet.distro.flags" -}}
{{- $further := list -}}
{{- $map := dict -}}
{{- range .further -}}
{{- $parts := splitn "=" 2 (trimPrefix "--" .) -}}
{{- $value := contains "=" . | ternary $parts._1 "true" -}}
{{- $further = append $further (printf "%s=%s" $parts._0 $value) -}}
{{- $_ := set $map $parts._0 $value -}}
{{- end -}}
{{- $list := list -}}
{{- range $flag, $value := .flags -}}
{{- if not (hasKey $map $flag) -}}
{{- $list = append $list (printf "%s=%s" $flag $value) -}}
{{- $_ := set $map $flag $value -}}
{{- end -}}
{{- end -}}
{{- dict "list" (concat $list $further) "map" $map | toJson -}}
{{- end }}

{{- /* Configuration of k3s: its keys are the flags of `k3s server`. */ -}}
{{- define "tenet.k3s.config" -}}
{{- $config := dict
  "data-dir" "/data/k3s"
  "https-listen-port" 8443
  "write-kubeconfig" "/data/k3s/admin.kubeconfig"
  "disable-agent" true
  "disable" (list "coredns" "servicelb" "traefik" "local-storage" "metrics-server" "runtimes")
  "disable-scheduler" true
  "disable-cloud-controller" true
  "disable-network-policy" true
  "disable-helm-controller" true
  "disable-kube-proxy" true
  "flannel-backend" "none"
  "egress-selector-mode" "disabled"
-}}
{{- range $key, $template := dict "kube-apiserver-arg" "tenet.distro.apiServer" "kube-controller-manager-arg" "tenet.distro.controllerManager" -}}
{{- $_ := set $config $key (include $template $ | fromJson).list -}}
{{- end -}}
{{- if eq .Values.store.type "etcd" -}}
{{- fail "store.type: \"etcd\" cannot be used with k3s: choose sqlite, sql or external" -}}
{{- end -}}
{{- if eq .Values.store.type "external" -}}
{{- $_ := set $config "datastore-endpoint" (join "," .Values.store.external.endpoints) -}}
{{- if include "tenet.hasStoreCertificates" . -}}
{{- $_ := merge $config (dict "datastore-cafile" "/etc/store/ca.crt" "datastore-certfile" "/etc/store/tls.crt" "datastore-keyfile" "/etc/store/tls.key") -}}
{{- end -}}
{{- end -}}
{{- toPrettyJson $config -}}
{{- end }}

{{- /* Configuration of k0s, a ClusterConfig. */ -}}
{{- define "tenet.k0s.config" -}}
{{- range $field, $flags := dict "apiServer" .Values.apiServer.extraArgs "controllerManager" .Values.controllerManager.extraArgs -}}
{{- $names := list -}}
{{- range $flags -}}{{- $names = append $names (splitn "=" 2 .)._0 -}}{{- end -}}
{{- if ne (len $names) (len (uniq $names)) -}}
{{- fail (printf "%s.extraArgs: k0s takes each flag once" $field) -}}
{{- end -}}
{{- end -}}
{{- $storage := dict "type" "kine" -}}
{{- if eq .Values.store.type "sqlite" -}}
{{- $_ := set $storage "kine" (dict "dataSource" "sqlite:///data/k0s/db/state.db?_journal=WAL&cache=shared&_busy_timeout=30000&_txlock=immediate") -}}
{{- else if eq .Values.store.type "etcd" -}}
{{- $storage = dict "type" "etcd" "etcd" (dict "peerAddress" "127.0.0.1") -}}
{{- else if eq .Values.store.type "external" -}}
{{- $cluster := dict "endpoints" .Values.store.external.endpoints "etcdPrefix" (include "tenet.prefix" .) -}}
{{- if include "tenet.hasStoreCertificates" . -}}
{{- $_ := merge $cluster (dict "caFile" "/etc/store/ca.crt" "clientCertFile" "/etc/store/tls.crt" "clientKeyFile" "/etc/store/tls.key") -}}
{{- end -}}
{{- $storage = dict "type" "etcd" "etcd" (dict "externalCluster" $cluster) -}}
{{- end -}}
{{- dict
  "apiVersion" "k0s.k0sproject.io/v1beta1"
  "kind" "ClusterConfig"
  "metadata" (dict "name" "k0s")
  "spec" (dict
    "api" (dict "port" 8443 "extraArgs" (include "tenet.distro.apiServer" . | fromJson).map)
    "controllerManager" (dict "extraArgs" (include "tenet.distro.controllerManager" . | fromJson).map)
    "network" (dict "provider" "custom")
    "storage" $storage
    "telemetry" (dict "enabled" false)
  )
| toPrettyJson -}}
{{- end }}

{{- define "tenet.k3s" -}}
{{ include "tenet.container" (dict "root" . "name" "k3s" "image" (.Values.images.k3s | default (printf "docker.io/rancher/k3s:%s-k3s1" .Values.version)) "resources" .Values.apiServer.resources "cpu" "150m" "memory" "512Mi") }}
command: [k3s, server, --config=/pki/k3s.yaml]
{{- if eq .Values.store.type "sql" }}
env:
  - {{- include "tenet.dataSource" (dict "root" . "name" "K3S_DATASTORE_ENDPOINT") | nindent 4 }}
{{- end }}
{{ include "tenet.distro.rest" . }}
{{- end }}

{{- define "tenet.k0s" -}}
{{ include "tenet.container" (dict "root" . "name" "k0s" "image" (.Values.images.k0s | default (printf "docker.io/k0sproject/k0s:%s-k0s.0" .Values.version)) "resources" .Values.apiServer.resources "cpu" "150m" "memory" "512Mi") }}
command:
  - k0s
  - controller
  - --config=/pki/k0s.yaml
  - --data-dir=/data/k0s
  - --disable-components=applier-manager,autopilot,control-api,coredns,csr-approver,endpoint-reconciler,helm,konnectivity-server,kube-proxy,kube-scheduler,metrics-server,network-provider,node-role,update-prober,windows-node,worker-config
{{ include "tenet.distro.rest" . }}
{{- end }}

{{- define "tenet.distro.rest" -}}
restartPolicy: Always
ports:
  - {name: https, containerPort: 8443, protocol: TCP}
startupProbe:
  {{- include "tenet.probe" (dict "scheme" "HTTPS" "path" "/livez" "port" 8443 "period" 2 "failures" 150) | nindent 2 }}
livenessProbe:
  {{- include "tenet.probe" (dict "scheme" "HTTPS" "path" "/livez" "port" 8443 "period" 10 "failures" 8) | nindent 2 }}
readinessProbe:
  {{- include "tenet.probe" (dict "scheme" "HTTPS" "path" "/readyz" "port" 8443 "period" 2 "failures" 3) | nindent 2 }}
volumeMounts:
  - {name: data, mountPath: /data}
  - {name: tmp, mountPath: /tmp}
  {{- if eq .Values.distro "k3s" }}
  - {name: data, mountPath: /etc/rancher, subPath: etc-rancher}
  {{- end }}
  - {name: pki, mountPath: /pki, readOnly: true}
  {{- if include "tenet.hasStoreCertificates" . }}
  - {name: store-pki, mountPath: /etc/store, readOnly: true}
  {{- end }}
{{- end }}
