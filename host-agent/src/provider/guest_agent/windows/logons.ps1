# Refuses new logons over the network for a while, and allows them again. What was set is marked in a registry key that goes
# with a reboot, as the mode itself does; a mode without that mark, or another than was set, is somebody else's.
# $ground is text, since a task of the guest's own begins with it too.
$ground = {
    $machine = [Microsoft.Win32.RegistryKey]::OpenBaseKey('LocalMachine', 'Registry64')
    $server = 'SYSTEM\CurrentControlSet\Control\Terminal Server'
    $key = 'SOFTWARE\CurfewDrain'
    $name = 'Curfew undrain'
    $winlogon = 'SOFTWARE\Microsoft\Windows NT\CurrentVersion\Winlogon'
    $tasks = New-Object -ComObject Schedule.Service
    $tasks.Connect()
    $folder = $tasks.GetFolder('\')
    # A 32-bit agent's programs see a 64-bit system's own tools under another name.
    $tool = @("$env:windir\Sysnative", "$env:windir\System32") | ForEach-Object { "$_\chglogon.exe" } | Where-Object { Test-Path $_ } | Select-Object -First 1
    function Mode { [int]$machine.OpenSubKey($server).GetValue('TSServerDrainMode', 0) }
    function Off { '1' -eq $machine.OpenSubKey($winlogon).GetValue('WinStationsDisabled', '0') }
    function Mark($value) { $mark = $machine.OpenSubKey($key); if ($mark) { $mark.GetValue($value) } }
    function Ours { (Mode) -ne 0 -and (Mode) -eq (Mark 'Mode') }
    function Lift {
        if (Ours) {
            # "/enable" would also undo somebody else's "/disable".
            if ((Off) -or -not $tool) { $machine.OpenSubKey($server, $true).SetValue('TSServerDrainMode', 0) }
            else { $null = & $tool /enable }
            if ((Mode) -ne 0) { throw 'logons are still refused' }
        }
        $machine.DeleteSubKey($key, $false)
        try { $folder.DeleteTask($name, 0) } catch { }
    }
}
Answer @($input) {
    param($ask)
    if (([DateTime]::UtcNow.Ticks - 621355968000000000) / 10000 -gt $ask.latest) { return '{"curfew":1,"fail":"late"}' }
    . $ground
    if ($ask.act -eq 'undrain') { Lift }
    elseif ((Ours) -or -not ((Off) -or (Mode) -ne 0)) {
        if (-not $tool) { return '{"curfew":1,"fail":"drain"}' }
        # A timer that is set into the past never runs, so the shortest is some seconds.
        $until = [DateTime]::UtcNow.AddMilliseconds([Math]::Max($ask.for, 10000))
        $mark = $machine.CreateSubKey($key, [Microsoft.Win32.RegistryKeyPermissionCheck]::ReadWriteSubTree, [Microsoft.Win32.RegistryOptions]::Volatile)
        # 1 is the mode that the tool sets; marked before, so that it is never left without a mark.
        if (-not (Ours)) { $mark.SetValue('Mode', 1) }
        $mark.SetValue('Until', "$($until.ToFileTimeUtc())")
        $text = "`$ErrorActionPreference = 'Stop'`n$ground`nif ([DateTime]::UtcNow.ToFileTimeUtc() -ge [long](Mark 'Until')) { Lift }"
        $text = [Convert]::ToBase64String([Text.Encoding]::Unicode.GetBytes($text))
        $task = '<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task"><Triggers><TimeTrigger><StartBoundary>' +
            $until.AddSeconds(1).ToString('s') + 'Z</StartBoundary></TimeTrigger></Triggers>' +
            '<Principals><Principal id="System"><UserId>S-1-5-18</UserId></Principal></Principals>' +
            '<Settings><DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries><StartWhenAvailable>true</StartWhenAvailable></Settings>' +
            '<Actions Context="System"><Exec><Command>' + $env:windir + '\System32\WindowsPowerShell\v1.0\powershell.exe</Command>' +
            "<Arguments>-NoProfile -NonInteractive -ExecutionPolicy Bypass -EncodedCommand $text</Arguments></Exec></Actions></Task>"
        # 6: made or replaced; 5: run as the account of a service, here the system's, whose name differs by language.
        $null = $folder.RegisterTask($name, $task, 6, 'S-1-5-18', $null, 5)
        if (-not (Ours)) { $null = & $tool /drainuntilrestart }
        if ((Mode) -eq 0) { Lift; return '{"curfew":1,"fail":"drain"}' }
        $mark.SetValue('Mode', (Mode))
        return '{"curfew":1,"refused":"curfew"}'
    }
    if ((Off) -or (Mode) -ne 0) { '{"curfew":1,"refused":"somebody"}' } else { '{"curfew":1,"refused":"nobody"}' }
}
