"""Kinds that are data: model, dataset, prompt, pipeline, template, config, theme."""

from __future__ import annotations

import json

from gati_client.scaffold.recipe import About, Made, Recipe


def _model(about: About) -> Made:
    manifest = {
        "provider": "custom",
        "type": about.type,
        "modelFormat": "safetensors",
        "modelFile": "model.safetensors",
        "runtime": "",
        "capabilities": {"modalities": ["text"], "languages": ["en"]},
        "modelCard": {"dataset": "", "accuracy": None, "limitations": ""},
    }
    hint = (
        "Put the model beside this file and name it in `modelFile` (`.safetensors`, `.gguf` and `.onnx` travel as they "
        "are, and the registry reads their headers). A hosted model has `endpoints` instead, and no file."
    )
    return Made(manifest, hint)


def _dataset(_: About) -> Made:
    manifest = {
        "format": "csv",
        "splits": [
            {"name": "train", "rows": 2, "files": ["data/train.csv"]},
            {"name": "test", "rows": 1, "files": ["data/test.csv"]},
        ],
        "fields": {"text": "string", "label": "string"},
        "tasks": ["classification"],
        "modalities": ["text"],
    }
    files = {
        "data/train.csv": "text,label\nwhat a day,good\nnot again,bad\n",
        "data/test.csv": "text,label\nlovely,good\n",
    }
    return Made(manifest, "Each split names its files and how many rows they have.", files)


def _prompt(about: About) -> Made:
    if about.type == "chat":
        manifest: dict[str, object] = {
            "messages": [
                {"role": "system", "content": "You answer in one sentence."},
                {"role": "user", "content": "Summarise for {{ audience }}: {{ text }}"},
            ]
        }
    else:
        manifest = {"template": "Summarise for {{ audience }}: {{ text }}"}
    variables = [{"name": "audience", "default": "everybody"}, {"name": "text"}]
    return Made(
        {**manifest, "variables": variables, "models": []}, "The prompt is in `gati-prompt.json`, its variables too."
    )


def _pipeline(_: About) -> Made:
    manifest = {
        "stages": [
            {"name": "clean", "retries": 1},
            {"name": "summarise", "needs": ["clean"], "timeout": "30s"},
        ],
        "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
        "outputSchema": {"type": "object", "properties": {"summary": {"type": "string"}}},
    }
    return Made(manifest, "Each stage names those that it needs; a `model` says which one it uses (`@acme/small@^1`).")


def _template(about: About) -> Made:
    manifest = {
        "templateType": about.type,
        "engine": "jinja2",
        "variables": [
            {
                "name": "project",
                "description": "What the project is called",
                "required": True,
                "pattern": "[a-z][a-z0-9-]*",
                "default": "my-app",
            },
            {
                "name": "port",
                "type": "integer",
                "description": "Where it listens",
                "default": 8080,
                "min": 1,
                "max": 65535,
            },
            {"name": "tests", "type": "boolean", "description": "With tests", "default": True},
        ],
    }
    files = {
        "template/README.md": "# {{ project }}\n\nListens on port {{ port }}.\n",
        "template/{{ project }}.json": '{\n  "name": {{ project | tojson }},\n  "port": {{ port }}\n}\n',
        "template/{% if tests %}tests{% endif %}/{{ project }}.test.js": 'import "node:test";\n',
    }
    hint = (
        "Projects are made of what lies in `template/`: names and texts are Jinja2, a name with an empty part "
        "is left out. Try it with `gati init --template . ../trial`."
    )
    return Made(manifest, hint, files)


def _config(_: About) -> Made:
    schema = {
        "type": "object",
        "properties": {"level": {"enum": ["debug", "info", "warn"]}, "format": {"enum": ["text", "json"]}},
        "required": ["level"],
    }
    settings = json.dumps({"level": "info", "format": "json"}, indent=2) + "\n"
    manifest = {"format": "json", "jsonSchema": schema, "appliesTo": []}
    return Made(
        manifest, "`settings.json` holds the values, `jsonSchema` says what they may be.", {"settings.json": settings}
    )


def _theme(about: About) -> Made:
    manifest = {
        "target": "web",
        "mode": about.type,
        "tokens": {"color.background": "#ffffff", "color.text": "#1b1b1b", "font.body": "system-ui"},
    }
    css = ":root {\n  --color-background: #ffffff;\n  --color-text: #1b1b1b;\n  --font-body: system-ui;\n}\n"
    return Made(manifest, "`tokens` are the theme, `theme.css` is the same for web pages.", {"theme.css": css})


RECIPES = (
    Recipe("model", _model, ("completion", "embedding", "vision", "function-calling", "multi-modal")),
    Recipe("dataset", _dataset),
    Recipe("prompt", _prompt, ("text", "chat")),
    Recipe("pipeline", _pipeline),
    Recipe("template", _template, ("app", "module", "plugin", "infrastructure")),
    Recipe("config", _config),
    Recipe("theme", _theme, ("both", "light", "dark")),
)
