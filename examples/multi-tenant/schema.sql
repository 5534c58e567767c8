-- Projects of several tenants in one database.
CREATE TABLE tenants (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE memberships (tenant_id INTEGER NOT NULL REFERENCES tenants (id), user_id TEXT NOT NULL, is_owner BOOLEAN NOT NULL DEFAULT 0,
  PRIMARY KEY (tenant_id, user_id)) WITHOUT ROWID;
CREATE TABLE projects (id INTEGER PRIMARY KEY, tenant_id INTEGER NOT NULL REFERENCES tenants (id), slug TEXT NOT NULL, title TEXT NOT NULL,
  UNIQUE (tenant_id, slug));
CREATE TABLE tasks (id INTEGER PRIMARY KEY, project_id INTEGER NOT NULL REFERENCES projects (id) ON DELETE CASCADE, title TEXT NOT NULL,
  done BOOLEAN NOT NULL DEFAULT 0);
CREATE INDEX tasks_project ON tasks (project_id);
INSERT INTO tenants VALUES (1, 'Acme'), (2, 'Globex');
INSERT INTO memberships VALUES (1, 'ada', 1), (1, 'bob', 0), (2, 'cyd', 1), (2, 'bob', 0);
INSERT INTO projects VALUES (10, 1, 'site', 'Web site'), (11, 1, 'shop', 'Shop'), (20, 2, 'site', 'Intranet');
INSERT INTO tasks VALUES (100, 10, 'Draw', 1), (101, 10, 'Write', 0), (110, 11, 'Count', 0), (200, 20, 'Wire', 0);
ANALYZE;
