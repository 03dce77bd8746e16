"""Our kinds, a file each."""

from __future__ import annotations

from gati_extensions.kinds.catalogue import (
    agent,
    chart,
    config,
    dataset,
    image,
    library,
    model,
    module,
    pipeline,
    plugin,
    prompt,
    service,
    snapshot,
    spec,
    template,
    theme,
    transformer,
)

KINDS = tuple(
    file.KIND
    for file in (
        agent, chart, config, dataset, image, library, model, module, pipeline, plugin, prompt, service, snapshot, spec,
        template, theme, transformer,
    )
)  # fmt: skip
