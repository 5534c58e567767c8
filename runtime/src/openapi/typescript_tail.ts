
type Schema = Database["public"]
type Relations = Schema["Tables"] & Schema["Views"]
type Written<Part extends "Insert" | "Update"> = {
  [Name in keyof Relations as Relations[Name] extends Record<Part, unknown> ? Name : never]: Relations[Name]
}

export type Tables<Name extends keyof Relations> = Relations[Name] extends { Row: infer Row } ? Row : never

export type TablesInsert<Name extends keyof Written<"Insert">> = Written<"Insert">[Name] extends { Insert: infer Row }
  ? Row
  : never

export type TablesUpdate<Name extends keyof Written<"Update">> = Written<"Update">[Name] extends { Update: infer Row }
  ? Row
  : never

export type Enums<Name extends keyof Schema["Enums"]> = Schema["Enums"][Name]
