{{- define "gati-registry.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "gati-registry.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "gati-registry.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "gati-registry.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "gati-registry.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "gati-registry.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "gati-registry.image" -}}
{{- with .Values.image }}
{{- if .digest }}
{{- printf "%s@%s" .repository .digest }}
{{- else }}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "gati-registry.publicUrl" -}}
{{- if .Values.publicUrl }}
{{- .Values.publicUrl }}
{{- else if .Values.ingress.enabled }}
{{- printf "%s://%s" (ternary "https" "http" (ne .Values.ingress.tlsSecret "")) .Values.ingress.host }}
{{- end }}
{{- end }}

{{- /* "yes" where replicas share a database, else nothing. Stops where the values do not fit together. */}}
{{- define "gati-registry.shared" -}}
{{- if .Values.database.secret.name }}
{{- if not (hasPrefix "s3://" .Values.blobs.url) }}
{{- fail "blobs.url: replicas that share a database need one blob store; write s3://BUCKET/PREFIX?endpoint=URL" }}
{{- end }}
{{- print "yes" }}
{{- else if .Values.autoscaling.enabled }}
{{- fail "autoscaling.enabled: an embedded registry is one replica; name a Secret in database.secret.name first" }}
{{- end }}
{{- end }}

{{- /* The setting's name as the environment spells it. */}}
{{- define "gati-registry.variable" -}}
{{- printf "GATI_%s" (. | replace "." "__" | upper) }}
{{- end }}

{{- define "gati-registry.probe" -}}
httpGet:
  path: {{ .path }}
  port: http
  scheme: {{ ternary "HTTPS" "HTTP" (ne .root.Values.tls.secret "") }}
{{- end }}
