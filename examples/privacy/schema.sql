-- Patients of a clinic: who treats them sees them, who counts them sees no names.
CREATE TABLE doctors (id TEXT PRIMARY KEY NOT NULL, name TEXT NOT NULL);
CREATE TABLE patients (id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT, phone TEXT, born TEXT NOT NULL, postcode TEXT NOT NULL,
  insurance TEXT UNIQUE, doctor_id TEXT REFERENCES doctors (id), record JSON);
CREATE TABLE visits (id INTEGER PRIMARY KEY, patient_id INTEGER NOT NULL REFERENCES patients (id), on_day TEXT NOT NULL, diagnosis TEXT);
CREATE VIEW visits_by_month AS SELECT substr(v.on_day, 1, 7) AS month, p.postcode, count(*) AS visits
  FROM visits v JOIN patients p ON p.id = v.patient_id GROUP BY 1, 2;
INSERT INTO doctors VALUES ('ada', 'Dr. Ada'), ('bob', 'Dr. Bob');
INSERT INTO patients VALUES
  (1, 'Eve Moss', 'eve@mail.example', '+4712345678', '1980-05-17', '0150', 'A-1', 'ada', '{"blood": "A", "hiv": false}'),
  (2, 'Finn Lund', 'finn@mail.example', NULL, '1992-11-02', '0151', 'A-2', 'bob', '{"blood": "0"}'),
  (3, 'Gro Vik', NULL, '+4787654321', '1955-01-30', '0150', 'B-1', 'ada', NULL);
INSERT INTO visits VALUES (1, 1, '2026-01-10', 'flu'), (2, 2, '2026-01-11', 'arm'), (3, 1, '2026-02-01', NULL), (4, 3, '2026-02-03', 'flu');
