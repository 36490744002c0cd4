//! What Windows says in the languages it is set to: the words of its session tools, and of what goes wrong. Written from
//! published outputs of those tools; where none was to be found for a language, a sentence of the same kind stands in.

use super::code_page::CodePage;

/// A display language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    English,
    German,
    French,
    Chinese,
    Japanese,
}

/// The words of one language.
pub struct Words {
    /// The columns of `query session`: session, user, id, state, type, device.
    pub columns: [&'static str; 6],
    pub active: &'static str,
    pub disconnected: &'static str,
    pub connected: &'static str,
    pub listens: &'static str,
    /// What `change logon /query` says.
    pub enabled: &'static str,
    pub drained: &'static str,
    pub disabled: &'static str,
    /// A policy stops a program.
    pub blocked: &'static str,
    /// Windows' error 5.
    pub denied: &'static str,
    /// The compiler cannot do its work.
    pub no_compiler: &'static str,
}

impl Language {
    pub const ALL: [Language; 5] =
        [Language::English, Language::German, Language::French, Language::Chinese, Language::Japanese];

    /// The code page of its consoles.
    pub fn code_page(self) -> CodePage {
        match self {
            Language::English | Language::German | Language::French => CodePage::Cp850,
            Language::Chinese => CodePage::Cp936,
            Language::Japanese => CodePage::Cp932,
        }
    }

    pub fn words(self) -> &'static Words {
        match self {
            Language::English => &ENGLISH,
            Language::German => &GERMAN,
            Language::French => &FRENCH,
            Language::Chinese => &CHINESE,
            Language::Japanese => &JAPANESE,
        }
    }
}

const ENGLISH: Words = Words {
    columns: ["SESSIONNAME", "USERNAME", "ID", "STATE", "TYPE", "DEVICE"],
    active: "Active",
    disconnected: "Disc",
    connected: "Conn",
    listens: "Listen",
    enabled: "Session logins are currently ENABLED",
    drained: "New user logins are DISABLED, but reconnections to existing sessions are ENABLED.",
    disabled: "Session logins are currently DISABLED",
    blocked: "This program is blocked by group policy. For more information, contact your system administrator.",
    denied: "Access is denied",
    no_compiler: "Source file could not be opened.",
};

const GERMAN: Words = Words {
    columns: ["SITZUNGSNAME", "BENUTZERNAME", "ID", "STATUS", "TYP", "GERÄT"],
    active: "Aktiv",
    disconnected: "Getr.",
    connected: "Verb.",
    listens: "Abhör.",
    enabled: "Sitzungsanmeldungen sind zurzeit AKTIVIERT.",
    drained: "Neue Benutzeranmeldungen sind DEAKTIVIERT; die Verbindung mit vorhandenen Sitzungen ist AKTIVIERT.",
    disabled: "Sitzungsanmeldungen sind zurzeit DEAKTIVIERT.",
    blocked: "Dieses Programm wurde durch eine Gruppenrichtlinie geblockt. Weitere Informationen erhalten Sie beim Systemadministrator.",
    denied: "Zugriff verweigert",
    no_compiler: "Die Quelldatei \"sitzung.0.cs\" konnte nicht geöffnet werden.",
};

const FRENCH: Words = Words {
    columns: ["SESSION", "UTILISATEUR", "ID", "ÉTAT", "TYPE", "PÉRIPHÉRIQUE"],
    active: "Actif",
    disconnected: "Déco",
    connected: "Conn",
    listens: "Écouter",
    enabled: "Les ouvertures de session sont actuellement ACTIVÉES.",
    drained: "Les nouvelles ouvertures de session sont DÉSACTIVÉES, mais les reconnexions sont ACTIVÉES.",
    disabled: "Les ouvertures de session sont actuellement DÉSACTIVÉES.",
    blocked: "Ce programme est bloqué par une stratégie de groupe. Contactez votre administrateur système.",
    denied: "Accès refusé",
    no_compiler: "Impossible d'ouvrir le fichier source.",
};

const CHINESE: Words = Words {
    columns: ["会话名", "用户名", "ID", "状态", "类型", "设备"],
    active: "运行中",
    disconnected: "断开",
    connected: "已连接",
    listens: "侦听",
    enabled: "当前已启用会话登录。",
    drained: "已禁用新用户登录，但已启用到现有会话的重新连接。",
    disabled: "当前已禁用会话登录。",
    blocked: "此程序被组策略阻止。有关详细信息，请与系统管理员联系。",
    denied: "拒绝访问。",
    no_compiler: "未能打开源文件。",
};

const JAPANESE: Words = Words {
    columns: ["セッション名", "ユーザー名", "ID", "状態", "種類", "デバイス"],
    active: "アクティブ",
    disconnected: "切断",
    connected: "接続",
    listens: "リッスン",
    enabled: "セッション ログインは現在有効です。",
    drained: "新しいユーザー ログインは無効ですが、既存のセッションへの再接続は有効です。",
    disabled: "セッション ログインは現在無効です。",
    blocked: "このプログラムはグループ ポリシーによってブロックされています。",
    denied: "アクセスが拒否されました。",
    no_compiler: "ソース ファイルを開けませんでした。",
};
