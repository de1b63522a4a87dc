"""Verify exported files and locate changes in them, without Django and without a database.

| module | content |
|---|---|
| `pack_format` | the exact bytes of a pack: canonical JSON, digests of its parts, the seal |
| `json_positions` | converts byte offsets in a JSON text to JSON pointers |
| `findings` | the result of a verification |
| `pack` | verifies an evidence pack |
| `chain` | verifies the audit chain in a pack |
| `period` | verifies a period pack, an archive of evidence packs |
| `audit_export` | verifies audit entries exported as JSON lines |
| `files` | detects the kind of a file and verifies it |
"""
