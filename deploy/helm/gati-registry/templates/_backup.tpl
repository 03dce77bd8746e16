{{- /* The container that backs up: once, or again and again beside an embedded registry. */}}
{{- define "gati-registry.backup" -}}
name: backup
image: {{ include "gati-registry.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args:
  - backup
  - --to={{ required "backup.to: name the bucket, s3://BUCKET/PREFIX?endpoint=URL" .Values.backup.to }}
  - --key-file=/run/secrets/backup/key
  {{- if not (include "gati-registry.shared" .) }}
  - --follow={{ .Values.backup.followSeconds }}
  {{- end }}
  {{- range $period, $number := .Values.backup.keep }}
  - --keep-{{ $period }}={{ $number }}
  {{- end }}
env:
  {{- include "gati-registry.env" . | nindent 2 }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
resources:
  {{- toYaml .Values.backup.resources | nindent 2 }}
volumeMounts:
  - name: data
    mountPath: /var/lib/gati
  - name: tmp
    mountPath: /tmp
  - name: backup
    mountPath: /run/secrets/backup
    readOnly: true
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "gati-registry.backupKey" -}}
- name: backup
  secret:
    secretName: {{ required "backup.secret.name: name the Secret with the key" .Values.backup.secret.name }}
    defaultMode: 0440
    items:
      - key: {{ .Values.backup.secret.key }}
        path: key
{{- end }}
