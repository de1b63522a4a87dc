"""Making evidence packs: everything about a deployment in one file that proves itself (`signoff.verifier`).

| module | does |
|---|---|
| `chain` | the audit chain of a deployment, without what other deployments' entries say |
| `contents` | gathers what a pack says from the database |
| `reading` | what checklist and document read out of a finished pack |
| `checklist` | the user's own Markdown, filled in |
| `document` | the PDF; its form is `document.typ` |
| `period` | all packs of a target between two dates, in one archive |
"""
