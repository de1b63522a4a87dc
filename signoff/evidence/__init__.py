"""Create evidence packs, and the PDF and checklist made from them. `signoff.verifier` checks them.

| module | content |
|---|---|
| `chain` | the audit chain of a deployment, with only the digests of other deployments' entries |
| `pack_contents` | reads the contents of a pack from the database |
| `pack_reader` | reads a finished pack, for the PDF and the checklist |
| `filled_checklist` | the filled-in Markdown checklist |
| `document` | the PDF; its layout is `document.typ` |
| `glyphs` | replaces characters that the fonts of the PDF cannot show |
| `period_archive` | the packs of a target between two dates in one archive |
"""
