// What remote desktop services tell of the sessions of people, and what they do to one. Compiled inside the guest, with
// the C# 5 compiler that every Windows has; answers in JSON of ASCII only. Lines that are comments are not sent.
using System;
using System.Collections.Generic;
using System.ComponentModel;
using System.Runtime.InteropServices;
using System.Security.Principal;
using System.Text;

// Add-Type takes warnings for errors, and Windows alone fills the fields of its structures.
#pragma warning disable 169, 649
public static class CurfewSessions {
    const string W = "wtsapi32.dll", K = "kernel32.dll";
    static readonly IntPtr Here = IntPtr.Zero;

    // WTS_SESSION_INFOW
    [StructLayout(LayoutKind.Sequential)]
    struct Row { public int Id; public IntPtr Station; public int State; }

    // WTS_PROCESS_INFOW
    [StructLayout(LayoutKind.Sequential)]
    struct Program { public int Session; public int Pid; public IntPtr Name; public IntPtr Sid; }

    // WTSINFOW; its names are cut at 20 and 16 characters and therefore not used.
    [StructLayout(LayoutKind.Sequential, CharSet = CharSet.Unicode)]
    struct Info {
        public int State, Id, A, B, C, D, E, F;
        [MarshalAs(UnmanagedType.ByValTStr, SizeConst = 32)] public string Station;
        [MarshalAs(UnmanagedType.ByValTStr, SizeConst = 17)] public string CutDomain;
        [MarshalAs(UnmanagedType.ByValTStr, SizeConst = 21)] public string CutUser;
        public long Connected, Disconnected, Input, Logon, Now;
    }

    [DllImport(W, SetLastError = true)]
    static extern bool WTSEnumerateSessionsW(IntPtr server, int reserved, int version, out IntPtr rows, out int count);
    [DllImport(W, SetLastError = true)]
    static extern bool WTSEnumerateProcessesW(IntPtr server, int reserved, int version, out IntPtr rows, out int count);
    [DllImport(W, SetLastError = true)]
    static extern bool WTSQuerySessionInformationW(IntPtr server, int id, int what, out IntPtr value, out int bytes);
    [DllImport(W)]
    static extern void WTSFreeMemory(IntPtr memory);
    [DllImport(W, SetLastError = true)]
    static extern bool WTSLogoffSession(IntPtr server, int id, bool wait);
    [DllImport(W, SetLastError = true, CharSet = CharSet.Unicode)]
    static extern bool WTSSendMessageW(IntPtr server, int id, string title, int titleBytes, string text, int textBytes,
        int style, int seconds, out int response, bool wait);
    [DllImport(K)]
    static extern int WTSGetActiveConsoleSessionId();
    [DllImport(K)]
    static extern IntPtr OpenProcess(int access, bool inherit, int pid);
    [DllImport(K)]
    static extern bool TerminateProcess(IntPtr process, int code);
    [DllImport(K)]
    static extern bool CloseHandle(IntPtr handle);

    // A session of a person, read at one moment.
    sealed class Session {
        public int Id;
        public string User, Domain, Station, Client, Kind, State;
        public long Began, Idle;
    }

    delegate bool Enumerate(IntPtr server, int reserved, int version, out IntPtr rows, out int count);

    static List<T> Rows<T>(Enumerate enumerate, Func<T, bool> keep) {
        IntPtr rows;
        int count;
        if (!enumerate(Here, 0, 1, out rows, out count)) throw new Win32Exception();
        List<T> kept = new List<T>();
        try {
            for (int at = 0; at < count; at++) {
                long place = rows.ToInt64() + (long)at * Marshal.SizeOf(typeof(T));
                T row = (T)Marshal.PtrToStructure(new IntPtr(place), typeof(T));
                // Looked at before the memory is freed: texts and SIDs are pointers into it.
                if (keep(row)) kept.Add(row);
            }
        } finally { WTSFreeMemory(rows); }
        return kept;
    }

    // Session 0 is that of services, and one that listens (state 6) waits for connections; nobody is logged on to them.
    static List<Row> Candidates() {
        return Rows<Row>(WTSEnumerateSessionsW, row => row.Id != 0 && row.State != 6);
    }

    // Whether a SID is a person's: of a local or domain account, or of one of Entra ID. Windows runs its own programs in
    // people's sessions too, under others.
    static bool IsPerson(IntPtr sid) {
        if (sid == IntPtr.Zero) return false;
        string text = new SecurityIdentifier(sid).Value;
        return text.StartsWith("S-1-5-21-", StringComparison.Ordinal) || text.StartsWith("S-1-12-1-", StringComparison.Ordinal);
    }

    static T Query<T>(int id, int what, Func<IntPtr, int, T> read) where T : class {
        IntPtr value;
        int bytes;
        if (!WTSQuerySessionInformationW(Here, id, what, out value, out bytes)) return null;
        try { return read(value, bytes); } finally { WTSFreeMemory(value); }
    }

    static string Text(int id, int what) {
        return Query(id, what, (value, bytes) => Marshal.PtrToStringUni(value));
    }

    static object Info24(int id) {
        return Query(id, 24, (value, bytes) => Marshal.PtrToStructure(value, typeof(Info)));
    }

    // Null when it cannot be read whole, or became another session meanwhile.
    static Session TryRead(int id) {
        string user = Text(id, 5), domain = Text(id, 7), client = Text(id, 10);
        object protocol = Query<object>(id, 16, (value, bytes) => Marshal.ReadInt16(value));
        object first = Info24(id);
        if (user == null || domain == null || first == null) return null;
        Info info = (Info)first;
        object again = Info24(id);
        if (again == null || ((Info)again).Logon != info.Logon || Text(id, 5) != user) return null;
        Session session = new Session();
        session.Id = id;
        session.User = user;
        session.Domain = domain;
        session.Station = info.Station;
        session.Client = client ?? "";
        session.Kind = (short)(protocol ?? (short)0) == 2 ? "rdp" : id == WTSGetActiveConsoleSessionId() ? "console" : "";
        // Disconnected, idle (waits for a client); reset, down: it ends.
        session.State = info.State == 4 || info.State == 5 ? "disconnected" : info.State == 7 || info.State == 8 ? "closing" : "active";
        session.Began = info.Logon == 0 ? 0 : info.Logon / 10 - 11644473600000000;
        // Leaving a session is a use of it, as `query user` counts it. A console does not always tell.
        long used = session.State == "disconnected" ? Math.Max(info.Input, info.Disconnected) : info.Input;
        session.Idle = used <= 0 ? -1 : Math.Max(0, info.Now - used) / 10000;
        return session;
    }

    // Null when there is no such session, or nobody is logged on to it.
    static Session Read(int id) {
        for (int turn = 0; turn < 3; turn++) {
            Session session = TryRead(id);
            if (session != null) return session.User == "" ? null : session;
            int why = Marshal.GetLastWin32Error();
            if (!Candidates().Exists(row => row.Id == id)) return null;
            if (turn == 2) throw new Win32Exception(why);
        }
        return null;
    }

    static long Now() { return (DateTime.UtcNow.Ticks - 621355968000000000) / 10000; }

    // Text between quotes: whatever is not plain ASCII is escaped, so that no code page matters.
    static string Quote(string text) {
        StringBuilder quoted = new StringBuilder("\"");
        foreach (char c in text) {
            if (c >= ' ' && c <= '~' && c != '"' && c != '\\') quoted.Append(c);
            else quoted.Append("\\u").Append(((int)c).ToString("x4"));
        }
        return quoted.Append('"').ToString();
    }

    public static string List(string boot, bool programs) {
        List<string> sessions = new List<string>(), held = new List<string>();
        foreach (Row row in Candidates()) {
            Session it = Read(row.Id);
            if (it == null) continue;
            sessions.Add("{\"id\":" + it.Id + ",\"user\":" + Quote(it.User) + ",\"domain\":" + Quote(it.Domain)
                + ",\"station\":" + Quote(it.Station) + ",\"client\":" + Quote(it.Client) + ",\"kind\":" + Quote(it.Kind)
                + ",\"state\":" + Quote(it.State) + ",\"began\":" + it.Began + ",\"idle\":" + it.Idle + "}");
            if (!programs) continue;
            SortedSet<string> names = new SortedSet<string>(StringComparer.Ordinal);
            Rows<Program>(WTSEnumerateProcessesW, program => program.Session == it.Id && IsPerson(program.Sid)
                && names.Count < 32 && names.Add(Quote(Marshal.PtrToStringUni(program.Name))));
            held.Add("\"" + it.Id + "\":[" + string.Join(",", names) + "]");
        }
        return "{\"curfew\":1,\"boot\":" + Quote(boot) + ",\"now\":" + Now() + ",\"sessions\":[" + string.Join(",", sessions)
            + "],\"programs\":{" + string.Join(",", held) + "}}";
    }

    public static string Tell(int[] ids, long[] began, string title, string text, long latest) {
        List<string> replies = new List<string>();
        for (int at = 0; at < ids.Length; at++) {
            Session it = Read(ids[at]);
            int response;
            replies.Add(it == null || it.Began != began[at] ? "\"gone\""
                : it.State != "active" ? "\"away\""
                : Now() > latest ? "\"late\""
                // An icon for information, in front; for a minute, as msg.exe does, since a later one waits behind it.
                : WTSSendMessageW(Here, it.Id, title, title.Length * 2, text, text.Length * 2, 0x50040, 60, out response, false)
                    ? "\"shown\"" : Marshal.GetLastWin32Error().ToString());
        }
        return "{\"curfew\":1,\"told\":[" + string.Join(",", replies) + "]}";
    }

    public static string End(int id, long began, bool force, string state, long idle, long latest) {
        return "{\"curfew\":1,\"end\":\"" + EndOne(id, began, force, state, idle, latest) + "\"}";
    }

    static string EndOne(int id, long began, bool force, string state, long idle, long latest) {
        Session it = Read(id);
        if (it == null) return "gone";
        if (it.Began != began) return "other";
        bool holds = (state == "" || state == it.State) && it.Idle >= idle;
        if (it.State != "closing" && !holds) return "changed";
        if (Now() > latest) return "late";
        if (!WTSLogoffSession(Here, id, false)) throw new Win32Exception();
        if (force) Kill(id);
        return "asked";
    }

    // Terminates every program that a person runs in the session.
    static void Kill(int id) {
        Dictionary<int, IntPtr> held = new Dictionary<int, IntPtr>();
        Func<Program, bool> theirs = program => program.Session == id && IsPerson(program.Sid);
        try {
            foreach (Program it in Rows<Program>(WTSEnumerateProcessesW, theirs)) {
                IntPtr process = OpenProcess(1, false, it.Pid);
                if (process != IntPtr.Zero) held[it.Pid] = process;
            }
            // A pid is not given to another program while it is held open: what is listed again is what is held.
            foreach (Program it in Rows<Program>(WTSEnumerateProcessesW, theirs)) {
                IntPtr process;
                if (held.TryGetValue(it.Pid, out process)) TerminateProcess(process, 1);
            }
        } finally { foreach (IntPtr process in held.Values) CloseHandle(process); }
    }
}
