"""Moving content: what is moved, and how.

`Source` is bytes that can be read again from any offset; `Layer` such bytes with their media type; `Descriptor` and
`Manifest` are what registries say of what they have.
"""

from gati_client.transfer.model import Descriptor, Layer, Manifest, Progress
from gati_client.transfer.sources import BytesSource, FileSource, Source

__all__ = ["BytesSource", "Descriptor", "FileSource", "Layer", "Manifest", "Progress", "Source"]
