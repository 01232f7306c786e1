{{- define "tenet.labels" -}}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: tenet
{{- end }}

{{- define "tenet.selector" -}}
tenet.sh/control-plane: {{ .Release.Name }}
{{- end }}

{{- define "tenet.clusterRole" -}}
tenet-syncer:{{ include "tenet.workloads" . }}:{{ .Release.Name }}
{{- end }}

{{- /* Namespace of the tenant's objects. */ -}}
{{- define "tenet.workloads" -}}
{{ .Values.workloadNamespace | default .Release.Namespace }}
{{- end }}

{{- /* Empty if the tenant's objects are in the namespace of the control plane. */ -}}
{{- define "tenet.areTwo" -}}
{{- if ne (include "tenet.workloads" .) .Release.Namespace }}true{{ end }}
{{- end }}

{{- /* Metadata of an object in the namespace of the tenant's objects, without the name. */ -}}
{{- define "tenet.workloadMetadata" -}}
namespace: {{ include "tenet.workloads" . | quote }}
labels:
  {{- include "tenet.labels" . | nindent 2 }}
  {{- if include "tenet.areTwo" . }}
  tenet.sh/control-plane-namespace: {{ .Release.Namespace | quote }}
  {{- end }}
{{- end }}

{{- /* Flags for the namespaces. */ -}}
{{- define "tenet.namespaces" -}}
- --host-namespace={{ include "tenet.workloads" . }}
{{- if include "tenet.areTwo" . }}
- --control-plane-namespace={{ .Release.Namespace }}
{{- end }}
{{- end }}

{{- define "tenet.image" -}}
{{ .Values.images.syncer | default (printf "tenet.sh/tenet-syncer:%s" .Chart.AppVersion) }}
{{- end }}

{{- /* Other namespaces whose Services are shown inside, as JSON. */ -}}
{{- define "tenet.elsewhere" -}}
{{- $own := include "tenet.workloads" . -}}
{{- $all := list -}}
{{- range (((.Values.syncer).config).replicateServices).fromHost -}}
{{- $namespace := first (splitList "/" .from) -}}
{{- if and (contains "/" .from) (ne $namespace $own) -}}
{{- $all = append $all $namespace -}}
{{- end -}}
{{- end -}}
{{- $all | uniq | sortAlpha | toJson -}}
{{- end }}

{{- /* Metadata of a Role in a namespace of others, without the name. */ -}}
{{- define "tenet.elsewhereMetadata" -}}
namespace: {{ index . 1 | quote }}
labels:
  {{- include "tenet.labels" (index . 0) | nindent 2 }}
  tenet.sh/control-plane-namespace: {{ (index . 0).Release.Namespace | quote }}
{{- end }}
