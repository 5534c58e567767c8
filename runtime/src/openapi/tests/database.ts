export type Json =
  | string
  | number
  | boolean
  | null
  | { [key: string]: Json | undefined }
  | Json[]

export type Database = {
  __InternalSupabase: {
    PostgrestVersion: "14.1"
  }
  public: {
    Tables: {
      child_entities: {
        Row: {
          id: number
          name: string | null
          parent_id: number | null
        }
        Insert: {
          id?: number
          name?: string | null
          parent_id?: number | null
        }
        Update: {
          id?: number
          name?: string | null
          parent_id?: number | null
        }
        Relationships: [
          {
            foreignKeyName: "child_entities_parent_id_fkey"
            columns: ["parent_id"]
            isOneToOne: false
            referencedRelation: "entities"
            referencedColumns: ["id"]
          },
        ]
      }
      entities: {
        Row: {
          id: number
          name: string | null
        }
        Insert: {
          id?: number
          name?: string | null
        }
        Update: {
          id?: number
          name?: string | null
        }
        Relationships: []
      }
    }
    Views: {
      names: {
        Row: {
          name: string | null
        }
        Relationships: []
      }
    }
    Functions: {
      children_of: {
        Args: {
          parent: number
          tags?: string[]
        }
        Returns: Database["public"]["Tables"]["child_entities"]["Row"][]
        SetofOptions: {
          from: "*"
          to: "child_entities"
          isOneToOne: false
          isSetofReturn: true
        }
      }
    }
    Enums: {
      [_ in never]: never
    }
    CompositeTypes: {
      [_ in never]: never
    }
  }
}

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

export const Constants = {
  public: {
    Enums: {
    },
  },
} as const
