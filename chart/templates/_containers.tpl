{{- /* Fields of every container. Arguments: root, name, image, resources, cpu, memory. */ -}}
{{- define "tenet.container" -}}
name: {{ .name }}
image: {{ .image }}
{{- with .root.Values.images.pullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
resources:
  requests:
    {{- merge (dict) .resources.requests (dict "cpu" .cpu "memory" .memory) | toYaml | nindent 4 }}
  {{- with .resources.limits }}
  limits:
    {{- toYaml . | nindent 4 }}
  {{- end }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
    {{- with .capabilities }}
    add: {{ toJson . }}
    {{- end }}
{{- end }}

{{- /* Fields of a probe. Arguments: scheme, path, port, period, failures. */ -}}
{{- define "tenet.probe" -}}
httpGet: {scheme: {{ .scheme }}, path: {{ .path }}, port: {{ .port }}}
periodSeconds: {{ .period }}
timeoutSeconds: 5
failureThreshold: {{ .failures }}
{{- end }}

{{- define "tenet.env" -}}
{{- $env := list -}}
{{- range $name, $value := .Values.syncer.env -}}
{{- $env = append $env (dict "name" $name "value" $value) -}}
{{- end -}}
{{- if include "tenet.areTwo" . -}}
{{- $address := dict "fieldRef" (dict "fieldPath" "status.podIPs") -}}
{{- $env = append $env (dict "name" "POD_IPS" "valueFrom" $address) -}}
{{- end -}}
{{- toJson $env -}}
{{- end }}

{{- define "tenet.bootstrap" -}}
{{ include "tenet.container" (dict "root" . "name" "bootstrap" "image" (include "tenet.image" .) "resources" .Values.syncer.resources "cpu" "20m" "memory" "32Mi") }}
args:
  - bootstrap
  - --name={{ .Release.Name }}
  {{- include "tenet.namespaces" . | nindent 2 }}
  - --certificates=/pki
  {{- with .Values.serviceCIDR }}
  - --service-cidr={{ . }}
  {{- end }}
  {{- range .Values.syncer.extraArgs }}
  {{- if hasPrefix "--tls-san=" . }}
  - {{ . | quote }}
  {{- end }}
  {{- end }}
  {{- if ne .Values.distro "k8s" }}
  - --distro={{ .Values.distro }}
  - --distro-config=/etc/tenet/{{ .Values.distro }}.yaml
  - --data-dir=/data
  {{- end }}
{{- $env := include "tenet.env" . | fromJsonArray }}
{{- if and (eq .Values.distro "k0s") (eq .Values.store.type "sql") }}
{{- $env = append $env (include "tenet.dataSource" (dict "root" . "name" "DATA_SOURCE") | fromYaml) }}
{{- end }}
env: {{ toJson $env }}
volumeMounts:
  - {name: pki, mountPath: /pki}
  - {name: host-token, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}
  {{- if ne .Values.distro "k8s" }}
  - {name: config, mountPath: /etc/tenet, readOnly: true}
  - {name: data, mountPath: /data}
  {{- end }}
{{- end }}

{{- /* Environment variable with the data source of an SQL database. Arguments: root, name. */ -}}
{{- define "tenet.dataSource" -}}
name: {{ .name }}
valueFrom:
  secretKeyRef:
    name: {{ required "store.dataSource.secret is required for the store \"sql\"" .root.Values.store.dataSource.secret }}
    key: {{ .root.Values.store.dataSource.key }}
{{- end }}

{{- /* The prefix of all keys in an etcd that exists. */ -}}
{{- define "tenet.prefix" -}}
{{ .Values.store.external.prefix | default (printf "/tenet/%s/%s" .Release.Namespace .Release.Name) }}
{{- end }}

{{- /* Type of the address at which the API server finds the kubelet of a virtual node. The InternalIP is that of the real node. */ -}}
{{- define "tenet.kubeletAddress" -}}
Hostname
{{- end }}

{{- /* "true" if the store is an etcd that asks for certificates. */ -}}
{{- define "tenet.hasStoreCertificates" -}}
{{- if and (eq .Values.store.type "external") .Values.store.external.secret }}true{{ end -}}
{{- end }}

{{- /* The value of --controllers. */ -}}
{{- define "tenet.controllers" -}}
{{- $off := "*,-node-ipam-controller,-node-lifecycle-controller,-persistentvolume-attach-detach-controller,-persistentvolume-binder-controller,-persistentvolume-expander-controller,-taint-eviction-controller" -}}
{{- if lt (int (semver .Values.version).Minor) 37 -}}
{{- $off = printf "%s,-cloud-node-lifecycle-controller,-node-route-controller,-service-lb-controller" $off -}}
{{- end -}}
{{ $off }}
{{- end }}

{{- define "tenet.store" -}}
{{- $store := .Values.store -}}
{{- if eq $store.type "etcd" -}}
{{ include "tenet.container" (dict "root" . "name" "etcd" "image" (.Values.images.etcd | default "registry.k8s.io/etcd:3.7.0-0") "resources" $store.resources "cpu" "50m" "memory" "64Mi") }}
command:
  - etcd
  - --data-dir=/data/etcd
  - --listen-client-urls=unix://store.sock
  - --advertise-client-urls=unix://store.sock
  - --listen-peer-urls=unix://peer.sock
  - --initial-advertise-peer-urls=unix://peer.sock
  - --initial-cluster=default=unix://peer.sock
  - --listen-metrics-urls=http://0.0.0.0:2381
  - --quota-backend-bytes=4294967296
  - --log-level=warn
livenessProbe:
  {{- include "tenet.probe" (dict "scheme" "HTTP" "path" "/livez" "port" 2381 "period" 10 "failures" 6) | nindent 2 }}
{{- else -}}
{{ include "tenet.container" (dict "root" . "name" "kine" "image" (.Values.images.kine | default "docker.io/rancher/kine:v0.17.2") "resources" $store.resources "cpu" "50m" "memory" "64Mi") }}
args:
  {{- if eq $store.type "sqlite" }}
  - --endpoint=sqlite:///data/state.db?_journal=WAL&cache=shared&_busy_timeout=30000&_txlock=immediate
  {{- else }}
  - --endpoint=$(DATA_SOURCE)
  {{- end }}
  - --listen-address=unix://store.sock
  - --metrics-bind-address=0
{{- if eq $store.type "sql" }}
env:
  - {{- include "tenet.dataSource" (dict "root" . "name" "DATA_SOURCE") | nindent 4 }}
{{- end }}
{{- end }}
restartPolicy: Always
workingDir: /run/store
volumeMounts:
  - {name: sockets, mountPath: /run/store}
  {{- if ne $store.type "sql" }}
  - {name: data, mountPath: /data}
  {{- end }}
{{- end }}

{{- define "tenet.apiServer" -}}
{{ include "tenet.container" (dict "root" . "name" "kube-apiserver" "image" (.Values.images.apiServer | default (printf "registry.k8s.io/kube-apiserver:%s" .Values.version)) "resources" .Values.apiServer.resources "cpu" "100m" "memory" "320Mi" "capabilities" (list "NET_BIND_SERVICE")) }}
command:
  - kube-apiserver
  {{- if eq .Values.store.type "external" }}
  - --etcd-servers={{ join "," .Values.store.external.endpoints }}
  - --etcd-prefix={{ include "tenet.prefix" . }}
  {{- if include "tenet.hasStoreCertificates" . }}
  - --etcd-cafile=/etc/store/ca.crt
  - --etcd-certfile=/etc/store/tls.crt
  - --etcd-keyfile=/etc/store/tls.key
  {{- end }}
  {{- else }}
  - --etcd-servers=unix://store.sock
  {{- end }}
  - --secure-port=8443
  - --advertise-address=$(POD_IP)
  - --endpoint-reconciler-type=none
  - --service-cluster-ip-range=$(SERVICE_CIDR)
  - --service-node-port-range=1-65535
  - --authorization-mode=Node,RBAC
  - --allow-privileged=true
  - --profiling=false
  - --tls-cert-file=/pki/apiserver.crt
  - --tls-private-key-file=/pki/apiserver.key
  - --client-ca-file=/pki/ca.crt
  - --kubelet-client-certificate=/pki/apiserver-kubelet-client.crt
  - --kubelet-client-key=/pki/apiserver-kubelet-client.key
  - --kubelet-preferred-address-types={{ include "tenet.kubeletAddress" . }}
  - --service-account-issuer=https://kubernetes.default.svc
  - --service-account-jwks-uri=https://kubernetes.default.svc/openid/v1/jwks
  - --service-account-key-file=/pki/sa.pub
  - --service-account-signing-key-file=/pki/sa.key
  - --requestheader-client-ca-file=/pki/front-proxy-ca.crt
  - --requestheader-allowed-names=front-proxy-client
  - --requestheader-username-headers=X-Remote-User
  - --requestheader-group-headers=X-Remote-Group
  - --requestheader-extra-headers-prefix=X-Remote-Extra-
  - --proxy-client-cert-file=/pki/front-proxy-client.crt
  - --proxy-client-key-file=/pki/front-proxy-client.key
  {{- range .Values.apiServer.extraArgs }}
  - {{ . | quote }}
  {{- end }}
restartPolicy: Always
workingDir: /run/store
env:
  - name: POD_IP
    valueFrom: {fieldRef: {fieldPath: status.podIP}}
  - name: SERVICE_CIDR
    valueFrom: {secretKeyRef: {name: {{ .Release.Name }}-certs, key: service-cidr}}
ports:
  - {name: https, containerPort: 8443, protocol: TCP}
startupProbe:
  {{- include "tenet.probe" (dict "scheme" "HTTPS" "path" "/livez" "port" 8443 "period" 2 "failures" 90) | nindent 2 }}
livenessProbe:
  {{- include "tenet.probe" (dict "scheme" "HTTPS" "path" "/livez" "port" 8443 "period" 10 "failures" 8) | nindent 2 }}
readinessProbe:
  {{- include "tenet.probe" (dict "scheme" "HTTPS" "path" "/readyz" "port" 8443 "period" 2 "failures" 3) | nindent 2 }}
volumeMounts:
  - {name: sockets, mountPath: /run/store}
  - {name: pki, mountPath: /pki, readOnly: true}
  {{- if include "tenet.hasStoreCertificates" . }}
  - {name: store-pki, mountPath: /etc/store, readOnly: true}
  {{- end }}
{{- end }}

{{- define "tenet.controllerManager" -}}
{{ include "tenet.container" (dict "root" . "name" "kube-controller-manager" "image" (.Values.images.controllerManager | default (printf "registry.k8s.io/kube-controller-manager:%s" .Values.version)) "resources" .Values.controllerManager.resources "cpu" "20m" "memory" "128Mi") }}
command:
  - kube-controller-manager
  - --kubeconfig=/pki/controller-manager.kubeconfig
  - --authentication-kubeconfig=/pki/controller-manager.kubeconfig
  - --authorization-kubeconfig=/pki/controller-manager.kubeconfig
  - --secure-port=10257
  - --leader-elect=false
  - --profiling=false
  - --service-account-private-key-file=/pki/sa.key
  - --root-ca-file=/pki/ca.crt
  - --cluster-signing-cert-file=/pki/ca.crt
  - --cluster-signing-key-file=/pki/ca.key
  - --use-service-account-credentials=true
  - --controllers={{ include "tenet.controllers" . }}
  {{- range .Values.controllerManager.extraArgs }}
  - {{ . | quote }}
  {{- end }}
startupProbe:
  {{- include "tenet.probe" (dict "scheme" "HTTPS" "path" "/healthz" "port" 10257 "period" 2 "failures" 90) | nindent 2 }}
livenessProbe:
  {{- include "tenet.probe" (dict "scheme" "HTTPS" "path" "/healthz" "port" 10257 "period" 10 "failures" 8) | nindent 2 }}
volumeMounts:
  - {name: pki, mountPath: /pki, readOnly: true}
{{- end }}

{{- define "tenet.syncer" -}}
{{ include "tenet.container" (dict "root" . "name" "syncer" "image" (include "tenet.image" .) "resources" .Values.syncer.resources "cpu" "20m" "memory" "32Mi") }}
args:
  - --config=/etc/tenet/syncer.yaml
  - --name={{ .Release.Name }}
  {{- include "tenet.namespaces" . | nindent 2 }}
  - --certificates=/pki
  {{- with .Values.serviceCIDR }}
  - --service-cidr={{ . }}
  {{- end }}
  {{- range .Values.syncer.extraArgs }}
  - {{ . | quote }}
  {{- end }}
env: {{ include "tenet.env" . }}
ports:
  - {name: metrics, containerPort: 9090, protocol: TCP}
livenessProbe:
  {{- include "tenet.probe" (dict "scheme" "HTTP" "path" "/healthz" "port" 9090 "period" 10 "failures" 6) | nindent 2 }}
readinessProbe:
  {{- include "tenet.probe" (dict "scheme" "HTTP" "path" "/readyz" "port" 9090 "period" 2 "failures" 3) | nindent 2 }}
volumeMounts:
  - {name: pki, mountPath: /pki}
  - {name: host-token, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}
  - {name: config, mountPath: /etc/tenet, readOnly: true}
{{- end }}
