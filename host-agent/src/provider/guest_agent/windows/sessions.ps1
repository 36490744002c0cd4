# Lists sessions, tells people something, ends a session. $code is the text of sessions.cs.
Answer @($input) {
    param($ask)
    Add-Type -TypeDefinition $code -IgnoreWarnings
    # The first session manager lives as long as the system, and the moment it began does not move with the clock.
    $boot = "$(@(Get-Process -Name smss | ForEach-Object { try { $_.StartTime.ToFileTimeUtc() } catch { } } | Sort-Object)[0])"
    if ($ask.act -eq 'list') { return [CurfewSessions]::List($boot, $ask.programs) }
    if ($ask.boot -ne $boot) { return '{"curfew":1,"fail":"boot"}' }
    if ($ask.act -eq 'tell') {
        return [CurfewSessions]::Tell([int[]]$ask.ids, [long[]]$ask.began, 'Curfew', $ask.text, $ask.latest)
    }
    if ($ask.act -eq 'end') {
        return [CurfewSessions]::End($ask.id, $ask.began, $ask.force, $ask.state, $ask.idle, $ask.latest)
    }
    throw 'an act that is not known'
}
