-- A trader, in the manner of Northwind: names with spaces, keys that are texts, dates, a table without a key, views, words of SQL.
CREATE TABLE "Customers" ("CustomerID" TEXT PRIMARY KEY NOT NULL, "CompanyName" TEXT NOT NULL, "Country" TEXT);
CREATE TABLE "Products" (
  "ProductID" INTEGER PRIMARY KEY AUTOINCREMENT, "ProductName" TEXT NOT NULL CHECK (length("ProductName") BETWEEN 1 AND 40),
  "UnitPrice" NUMERIC DEFAULT 0 CHECK ("UnitPrice" >= 0), "Discontinued" TEXT NOT NULL DEFAULT '0' CHECK ("Discontinued" IN ('0', '1'))
);
CREATE TABLE "Orders" (
  "OrderID" INTEGER PRIMARY KEY AUTOINCREMENT, "CustomerID" TEXT REFERENCES "Customers" ("CustomerID"), "OrderDate" DATE,
  "ShippedAt" TIMESTAMPTZ, "Freight" REAL DEFAULT 0
);
CREATE TABLE "Order Details" (
  "OrderID" INTEGER NOT NULL REFERENCES "Orders" ("OrderID"), "ProductID" INTEGER NOT NULL REFERENCES "Products" ("ProductID"),
  "Quantity" INTEGER NOT NULL DEFAULT 1 CHECK ("Quantity" > 0), "Unit Price" NUMERIC NOT NULL, PRIMARY KEY ("OrderID", "ProductID")
) WITHOUT ROWID;
CREATE TABLE "Größe, in cm" ("order" INTEGER, "select" TEXT, "a.b" TEXT, "日本" TEXT);
CREATE VIEW "Sales by Country" AS
  SELECT c."Country", count(*) AS "Orders" FROM "Orders" o JOIN "Customers" c ON c."CustomerID" = o."CustomerID" GROUP BY 1;
INSERT INTO "Customers" VALUES ('ALFKI', 'Alfreds', 'Germany'), ('ANATR', 'Ana Trujillo', 'Mexico');
INSERT INTO "Products" ("ProductName", "UnitPrice") VALUES ('Chai', 18), ('Chang', 19.5);
INSERT INTO "Orders" ("CustomerID", "OrderDate", "ShippedAt") VALUES ('ALFKI', '1996-07-04', '1996-07-16T10:00:00Z'), ('ANATR', NULL, NULL);
INSERT INTO "Order Details" VALUES (1, 1, 12, 14), (2, 2, 10, 9.8);
INSERT INTO "Größe, in cm" VALUES (1, 'a', 'b', 'c');
