"""The PyPI package postgrest against a running server: API_URL says where. What is written has an owner of its own."""

import os
import sys
import unittest

from postgrest import APIError, CountMethod, SyncPostgrestClient
from postgrest.types import ReturnMethod

db = SyncPostgrestClient(os.environ["API_URL"] + "/rest/v1", headers={"apikey": "anon", "Authorization": "Bearer anon"})
artists = db.from_("artists")
albums = db.from_("albums")
notes = db.from_("notes")


def written(owner):
    return notes.select("id", "body").eq("owner", owner).order("id").execute().data


class Case(unittest.TestCase):
    maxDiff = None

    def gives(self, request, data):
        self.assertEqual(request.execute().data, data)

    def refused(self, request, code, message):
        with self.assertRaises(APIError) as caught:
            request.execute()
        self.assertEqual((caught.exception.code, caught.exception.message), (code, message))


class Filters(Case):
    def finds(self, add, ids):
        """The artists that a filter finds."""
        found = add(artists.select("id")).execute().data
        self.assertEqual([row["id"] for row in found], ids)

    def test_comparisons(self):
        self.finds(lambda q: q.eq("country", "NO"), [2, 4])
        self.finds(lambda q: q.eq("active", True), [1, 2])
        self.finds(lambda q: q.neq("country", "NO"), [1])
        self.finds(lambda q: q.gt("rating", 3.25), [1])
        self.finds(lambda q: q.gte("rating", 3.25), [1, 2])
        self.finds(lambda q: q.lt("rating", 3.25), [4])
        self.finds(lambda q: q.lte("rating", 3.25), [2, 4])

    def test_is(self):
        self.finds(lambda q: q.is_("rating", None), [3])
        self.finds(lambda q: q.is_("active", False), [3, 4])

    def test_patterns(self):
        self.finds(lambda q: q.like("name", "B%"), [2])
        self.finds(lambda q: q.ilike("name", "b%"), [2, 4])
        self.finds(lambda q: q.like_all_of("name", "%e%,%r"), [1, 3])
        self.finds(lambda q: q.like_any_of("name", "A%,%live"), [1, 4])
        self.finds(lambda q: q.ilike_all_of("name", "b%,%H"), [2])
        self.finds(lambda q: q.ilike_any_of("name", "a%,c%"), [1, 3])

    def test_in(self):
        self.finds(lambda q: q.in_("name", ["Aster", "birch (duo), live"]), [1, 4])
        self.finds(lambda q: q.in_("id", []), [])

    def test_containment(self):
        self.finds(lambda q: q.contains("genres", ["rock"]), [1, 3])
        self.finds(lambda q: q.cs("genres", ["rock"]), [1, 3])
        self.finds(lambda q: q.contains("info", {"born": {"year": 2001}}), [2])
        self.finds(lambda q: q.contained_by("genres", ["rock", "jazz"]), [2, 3, 4])
        self.finds(lambda q: q.cd("genres", ["rock", "jazz"]), [2, 3, 4])
        self.finds(lambda q: q.overlaps("genres", ["folk", "jazz"]), [1, 2, 3])
        self.finds(lambda q: q.ov("genres", ["folk", "jazz"]), [1, 2, 3])

    def test_ranges_are_refused(self):
        for name in ["sl", "sr", "nxl", "nxr", "adj", "range_gt", "range_gte", "range_lt", "range_lte", "range_adjacent"]:
            with self.subTest(name):
                request = getattr(albums.select("id"), name)("released", (2000, 2010))
                self.refused(request, "PGRST127", "Feature not implemented")

    def test_combinations(self):
        self.finds(lambda q: q.match({"country": "NO", "active": True}), [2])
        self.finds(lambda q: q.not_.eq("country", "NO"), [1])
        self.finds(lambda q: q.not_.in_("id", [1, 2]), [3, 4])
        self.finds(lambda q: q.or_("id.eq.1,and(country.eq.NO,active.is.false)"), [1, 4])
        self.finds(lambda q: q.not_.or_("id.eq.1,id.eq.2"), [3, 4])
        self.finds(lambda q: q.filter("name", "in", '("Aster","Cedar")'), [1, 3])

    def test_or_of_a_referenced_table(self):
        request = artists.select("id", "albums(title)").or_("title.eq.Alpha,released.gt.2005", reference_table="albums")
        self.gives(request.lt("id", 3), [{"id": 1, "albums": [{"title": "Alpha"}]}, {"id": 2, "albums": [{"title": "Gamma"}]}])

    def test_full_text(self):
        def finds(add, ids):
            self.assertEqual([row["id"] for row in add(albums.select("id")).execute().data], ids)

        finds(lambda q: q.fts("liner", "fox & !'brown'"), [3])
        finds(lambda q: q.plfts("liner", "jumping fox"), [1, 3])
        finds(lambda q: q.phfts("liner", "lazy dog"), [2])
        finds(lambda q: q.wfts("liner", "dog -lazy"), [3])
        finds(lambda q: q.text_search("liner", "foxes | sleeping", {"config": "english"}), [1, 2, 3])
        finds(lambda q: q.text_search("liner", "lazy dog", {"type": "phrase"}), [2])
        finds(lambda q: q.text_search("liner", "the jumping fox", {"type": "plain", "config": "english"}), [1, 3])
        finds(lambda q: q.text_search("liner", "dog -lazy", {"type": "web_search"}), [3])


class Reads(Case):
    def test_select(self):
        request = artists.select("called:name", "year:info->born->year", "albums ( title, decade, tracks ( name ) )")
        nested = {"title": "Gamma", "decade": 2010, "tracks": [{"name": "five"}]}
        self.gives(request.eq("id", 2), [{"called": "Birch", "year": 2001, "albums": [nested]}])

    def test_schema(self):
        self.gives(db.schema("main").table("artists").select("id").eq("id", 2), [{"id": 2}])

    def test_count(self):
        for method in CountMethod:
            with self.subTest(method):
                answer = artists.select("id", count=method).gt("id", 1).limit(2).execute()
                self.assertEqual((answer.data, answer.count), ([{"id": 2}, {"id": 3}], 3))

    def test_head(self):
        answer = artists.select("*", count=CountMethod.exact, head=True).execute()
        self.assertEqual((answer.data, answer.count), ([], 4))

    def test_order(self):
        def ordered(*args, **options):
            return [row["id"] for row in artists.select("id").order(*args, **options).execute().data]

        self.assertEqual(ordered("rating"), [4, 2, 1, 3])
        self.assertEqual(ordered("rating", desc=True), [3, 1, 2, 4])
        self.assertEqual(ordered("rating", nullsfirst=True), [3, 4, 2, 1])
        self.assertEqual(ordered("rating", desc=True, nullsfirst=False), [1, 2, 4, 3])
        self.gives(artists.select("id").order("active").order("id", desc=True), [{"id": id} for id in [4, 3, 2, 1]])
        embedded = artists.select("albums(title)").eq("id", 1).order("title", desc=True, foreign_table="albums")
        self.gives(embedded, [{"albums": [{"title": "Beta"}, {"title": "Alpha"}]}])

    def test_pages(self):
        self.gives(artists.select("id").limit(1), [{"id": 1}])
        self.gives(artists.select("id").limit(1).offset(2), [{"id": 3}])
        self.gives(artists.select("id").range(1, 2), [{"id": 2}, {"id": 3}])
        embedded = artists.select("albums(title)").eq("id", 1)
        self.gives(embedded.range(1, 1, foreign_table="albums"), [{"albums": [{"title": "Beta"}]}])
        embedded = artists.select("albums(title)").eq("id", 1)
        self.gives(embedded.limit(1, foreign_table="albums"), [{"albums": [{"title": "Alpha"}]}])

    def test_single(self):
        self.gives(artists.select("name").eq("id", 1).single(), {"name": "Aster"})
        message = "Cannot coerce the result to a single JSON object"
        self.refused(artists.select("name").single(), "PGRST116", message)
        self.refused(artists.select("name").eq("id", 99).single(), "PGRST116", message)

    def test_maybe_single(self):
        self.gives(artists.select("name").eq("id", 1).maybe_single(), {"name": "Aster"})
        self.assertIsNone(artists.select("name").eq("id", 99).maybe_single().execute())
        self.refused(artists.select("name").maybe_single(), "406", "Cannot coerce the result to a single JSON object")

    def test_csv(self):
        request = artists.select("id", "name", "rating").gt("id", 2).csv()
        self.gives(request, 'id,name,rating\n3,Cedar,\n4,"birch (duo), live",2.5')

    def test_explain(self):
        plan = "page\n  SEARCH t0 USING INTEGER PRIMARY KEY (rowid=?)\n"
        self.assertEqual(artists.select("id").eq("id", 1).explain().execute(), plan)

    def test_strip_nulls(self):
        self.gives(artists.select("id", "rating").eq("id", 3).strip_nulls(), [{"id": 3}])

    def test_errors(self):
        message = "Could not find the table 'main.artist' in the schema cache"
        self.refused(db.from_("artist").select("*"), "PGRST205", message)
        self.refused(artists.select("nam"), "42703", "column artists.nam does not exist")
        self.refused(artists.select("id").eq("id", "x"), "22P02", 'invalid input syntax for type integer: "x"')


class Writes(Case):
    def test_insert(self):
        row = {"id": 101, "owner": "insert", "body": "b", "slug": None, "stars": None}
        self.gives(notes.insert({"id": 101, "owner": "insert", "body": "b"}), [row])
        silent = notes.insert({"id": 102, "owner": "insert"}, returning=ReturnMethod.minimal, count=CountMethod.exact)
        answer = silent.execute()
        self.assertEqual((answer.data, answer.count), ([], 1))
        self.assertEqual(written("insert"), [{"id": 101, "body": "b"}, {"id": 102, "body": "empty"}])

    def test_insert_rows(self):
        rows = [{"id": 111, "owner": "rows"}, {"id": 112, "owner": "rows", "body": "two"}]
        self.gives(notes.insert(rows).select("id", "body"), [{"id": 111, "body": None}, {"id": 112, "body": "two"}])
        more = [{"id": 113, "owner": "rows"}, {"id": 114, "owner": "rows", "body": "two"}]
        inserted = notes.insert(more, default_to_null=False).select("id", "body")
        self.gives(inserted, [{"id": 113, "body": "empty"}, {"id": 114, "body": "two"}])

    def test_insert_refused(self):
        slug = 'duplicate key value violates unique constraint "notes_slug_key"'
        self.refused(notes.insert({"owner": "refused", "slug": "first"}), "23505", slug)

    def test_upsert(self):
        notes.upsert([{"id": 201, "owner": "upsert", "body": "one"}]).execute()
        merged = notes.upsert([{"id": 201, "owner": "upsert", "body": "new"}, {"id": 202, "owner": "upsert", "body": "two"}])
        self.gives(merged.select("body"), [{"body": "new"}, {"body": "two"}])
        kept = notes.upsert({"id": 201, "owner": "upsert", "body": "lost"}, ignore_duplicates=True)
        self.gives(kept, [])
        self.assertEqual(written("upsert"), [{"id": 201, "body": "new"}, {"id": 202, "body": "two"}])
        self.gives(notes.insert({"id": 201, "owner": "upsert", "body": "last"}, upsert=True).select("body"), [{"body": "last"}])

    def test_upsert_on_conflict(self):
        for body in ["one", "two"]:
            row = {"owner": "on conflict", "slug": "py", "body": body}
            self.gives(notes.upsert(row, on_conflict="slug").select("body"), [{"body": body}])
        self.assertEqual(len(written("on conflict")), 1)

    def test_update(self):
        notes.insert([{"id": id, "owner": "update", "body": "old"} for id in [301, 302]]).execute()
        self.gives(notes.update({"body": "new"}).eq("id", 301).select("id", "body"), [{"id": 301, "body": "new"}])
        answer = notes.update({"stars": 3}, count=CountMethod.exact, returning=ReturnMethod.minimal).eq("owner", "update").execute()
        self.assertEqual((answer.data, answer.count), ([], 2))
        self.assertEqual(written("update"), [{"id": 301, "body": "new"}, {"id": 302, "body": "old"}])

    def test_delete(self):
        notes.insert([{"id": id, "owner": "delete", "body": "x"} for id in [401, 402]]).execute()
        self.gives(notes.delete().eq("id", 401).select("id"), [{"id": 401}])
        answer = notes.delete(count=CountMethod.exact, returning=ReturnMethod.minimal).eq("owner", "delete").execute()
        self.assertEqual((answer.data, answer.count), ([], 1))
        self.assertEqual(written("delete"), [])

    def test_max_affected(self):
        notes.insert([{"id": id, "owner": "max", "body": "x"} for id in [501, 502]]).execute()
        message = "Query result exceeds max-affected preference constraint"
        self.refused(notes.delete().eq("owner", "max").max_affected(1), "PGRST124", message)
        self.assertEqual(len(written("max")), 2)
        self.assertEqual(len(notes.delete().eq("owner", "max").max_affected(2).execute().data), 2)


class Calls(Case):
    def test_rpc(self):
        self.gives(db.rpc("add", {"a": 1, "b": 2}), 3)
        self.gives(db.rpc("hello", {}), "hello world")
        self.gives(db.rpc("albums_among", {"ids": [1, 3]}).select("title"), [{"title": "Alpha"}, {"title": "Gamma"}])
        self.refused(db.rpc("add", {"c": 1}), "PGRST202", "Could not find the function main.add(c) in the schema cache")

    def test_rpc_get(self):
        self.gives(db.rpc("add", {"a": 1}, get=True), 11)
        self.gives(db.rpc("albums_among", {"ids": [1, 3]}, get=True).select("id"), [{"id": 1}, {"id": 3}])

    def test_rpc_rows(self):
        rows = db.rpc("albums_of", {"artist": 1}).select("title").gt("released", 2000)
        self.gives(rows, [{"title": "Beta"}])
        self.gives(db.rpc("albums_of", {"artist": 1}).order("id", desc=True).limit(1).select("id").single(), {"id": 2})
        self.gives(db.rpc("albums_of", {"artist": 1}).select("id").csv(), "id\n1\n2")
        self.assertIsNone(db.rpc("albums_of", {"artist": 99}).maybe_single().execute())

    def test_rpc_count(self):
        answer = db.rpc("albums_of", {"artist": 1}, count=CountMethod.exact, head=True).execute()
        self.assertEqual((answer.data, answer.count), ([], 2))

    def test_rpc_that_writes(self):
        self.gives(db.rpc("write_note", {"owner": "rpc"}).select("body"), [{"body": "by a function"}, {"body": "and another"}])
        self.gives(db.rpc("forget", {"owner": "rpc"}), [])
        self.assertEqual(written("rpc"), [])


if __name__ == "__main__":
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
    import report

    report.main()
