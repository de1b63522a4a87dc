"""Says whether an exported file is what was exported, and names what is not. Needs no Django and no database.

| module | does |
|---|---|
| `form` | the exact bytes of a pack: canonical JSON, digests of its parts, the seal |
| `places` | where in a JSON text a byte stands |
| `findings` | what a verification found |
| `pack` | verifies an evidence pack |
| `chain` | verifies the part of the audit chain that a pack carries |
| `period` | verifies a period pack, an archive of evidence packs |
| `lines` | verifies audit entries exported as JSON lines |
| `files` | finds out which of them a file is |
"""
