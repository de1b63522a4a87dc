"""A published version of a template is what people signed for: the database itself refuses to change it."""

from django.db import migrations

REFUSE = """
CREATE FUNCTION checklists_refuse_change_of_published_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'A published version of a template never changes (template version %).', OLD.id
        USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER published_version_never_changes
    BEFORE UPDATE OR DELETE ON checklists_templateversion
    FOR EACH ROW WHEN (OLD.state = 'published')
    EXECUTE FUNCTION checklists_refuse_change_of_published_version();
"""

ALLOW = """
DROP TRIGGER published_version_never_changes ON checklists_templateversion;
DROP FUNCTION checklists_refuse_change_of_published_version();
"""


class Migration(migrations.Migration):
    dependencies = [("checklists", "0001_initial")]
    operations = [migrations.RunSQL(REFUSE, ALLOW)]
