# The beginning of every script that runs in a guest: one JSON object in from standard input, one out, of ASCII only, so that
# neither code page nor display language matters. For Windows PowerShell 3 to 5.1. Lines that are comments are not sent.
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
# Where only harmless words are allowed nothing below works; this line does.
if ($ExecutionContext.SessionState.LanguageMode -ne 'FullLanguage') { '{"curfew":1,"fail":"language"}'; exit 0 }
function Quote($text) {
    '"' + [regex]::Replace("$text", '[^ !#-\[\]-~]', { '\u{0:x4}' -f [int][char]$args[0].Value }) + '"'
}
function Answer($lines, $act) {
    try { $json = & $act ([string]::Join('', $lines) | ConvertFrom-Json) }
    catch {
        $why = $_.Exception
        while ($why.InnerException) { $why = $why.InnerException }
        $number = if ($why -is [ComponentModel.Win32Exception]) { $why.NativeErrorCode } else { 0 }
        $json = '{"curfew":1,"fail":"error","code":' + $number + ',"why":' + (Quote $why.Message) + '}'
    }
    [Console]::Out.Write($json)
}
