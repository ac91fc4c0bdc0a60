-- Run by hand, or by a nightly job: no service takes part.
UPDATE sample_users SET name = upper(name), version = version + 1
WHERE name <> upper(name);
