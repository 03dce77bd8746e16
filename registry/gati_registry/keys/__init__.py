"""Master keys: `ports.MasterKey` on a file, Vault's transit engine and AWS KMS.

An id names a version of the master key together with where it is: `file:2026-11-28-1f0c`, `vault:KEY:v3`, `kms:ARN`.
"""

from gati_registry.keys.chosen import ChosenMasterKey
from gati_registry.keys.file import FileMasterKey
from gati_registry.keys.http import KeyServer
from gati_registry.keys.kms import AwsCredentials, KmsMasterKey
from gati_registry.keys.vault import VaultMasterKey

__all__ = ["AwsCredentials", "ChosenMasterKey", "FileMasterKey", "KeyServer", "KmsMasterKey", "VaultMasterKey"]
