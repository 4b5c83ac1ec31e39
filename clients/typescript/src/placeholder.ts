// The placeholder: what everybody sees where nothing may be shown. A test holds it equal to the service's own.

export const PLACEHOLDER_URL =
    "data:image/webp;base64," +
    "UklGRioBAABXRUJQVlA4IB4BAABwDQCdASqAAIAAPm00k0ckIyGhKh5oYIANiWkA1MgZzhtvtdacu5FFmmYZBPWqiF" +
    "QffKXnSlVDj6sxkffL4qq6HPwVV66RAZuGK8NXHlom/i//lbj5/oXXkidhUFCih/3lycABeWVNw2CQ1VCNrPXYFFgg" +
    "AAD+95BhvMEw9wCqPG0LaySHIlQgIK2xoWu9cfeHl7xeAhHVgjzLXUPrcGWuyZUL/ReHa2m5s+KWSINJP7vkcX559h" +
    "4CmQk6ZzrIfIUdDdZM/5LttTcsV1R3z+4PswfFwJP83bp3corDcNusyiIEn1sQGvRMONtvWO39aZZSD8VJR92L6QKU" +
    "V/yP0d/UcwfjJ/UAdYyd/lLS5TDlRRXPcACpVtaEpEAyAAAA";
export const PLACEHOLDER_BLURHASH = "AINddt%M~qof";
