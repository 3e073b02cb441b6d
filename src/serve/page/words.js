// What the page says, in the languages it has.
export const words = {
  ja: {
    "skip": "本文へ", "model": "モデル", "works": "履歴", "settings": "設定", "other-language": "English", "manuscript": "原稿", "text": "本文",
    "start": "ここに書き出しを。続きはモデルが書きます。", "actions": "操作", "go": "続きを書く", "stop": "止める", "fork": "枝分かれ", "undo": "戻す", "redo": "やり直す",
    "share": "リンク", "fresh": "新しい紙", "branches": "枝", "sets": "設定の組", "writing": "書きかた", "bold": "大胆さ", "bold-low": "手堅い", "bold-high": "奔放",
    "wide": "言葉の幅", "wide-low": "ありそうな言葉だけ", "wide-high": "どんな言葉でも", "length": "一度に書く長さ", "length-low": "ひとこと", "length-high": "一段落",
    "count": "枝の数", "sentence": "「。」で止める", "compare": "二つの設定をくらべる", "look": "見た目", "colours": "確信の度合いを色で見る", "sure": "確か", "unsure": "意外",
    "borders": "トークンの境目を見る", "vertical": "縦書き", "theme": "明るさ", "theme-auto": "端末に合わせる", "theme-light": "昼", "theme-dark": "夜", "keys": "キーボード",
    "others": "ほかの言葉", "works-note": "この端末のブラウザーだけに残ります。", "drop": "「{0}」を消す", "key": "このサーバーの鍵", "ok": "使う",
    "need-key": "このサーバーには鍵が要ります。", "busy": "いま混み合っています。少し待ってからもう一度。", "thinking": "考えています…", "branching": "枝を書いています…",
    "speed": "{0} トークン · 毎秒 {1}", "nothing": "モデルはここで終わりにしました。", "stopped": "止めました。", "gone": "サーバーにつながりません。", "take": "これにする",
    "branch": "枝 {0}", "sureness": "確信 {0} %", "close": "閉じる", "surest": "いちばん確かな言葉", "tokens": "{0} トークン",
    "copied": "リンクを写しました。本文と設定が入っています。", "in-bar": "リンクはアドレス欄にあります。",
  },
  en: {
    "skip": "To the text", "model": "Model", "works": "History", "settings": "Settings", "other-language": "日本語", "manuscript": "Manuscript", "text": "Text",
    "start": "Write a beginning here. The model goes on.", "actions": "Actions", "go": "Write on", "stop": "Stop", "fork": "Branches", "undo": "Undo", "redo": "Redo",
    "share": "Link", "fresh": "New sheet", "branches": "Branches", "sets": "Sets of settings", "writing": "Writing", "bold": "Boldness", "bold-low": "safe", "bold-high": "wild",
    "wide": "Choice of words", "wide-low": "likely words only", "wide-high": "any word", "length": "Length at a time", "length-low": "a phrase", "length-high": "a paragraph",
    "count": "Branches", "sentence": "Stop at 。", "compare": "Compare two settings", "look": "Looks", "colours": "Colour by how sure the model is", "sure": "sure", "unsure": "surprising",
    "borders": "Borders of tokens", "vertical": "Vertical writing", "theme": "Light", "theme-auto": "as the system", "theme-light": "day", "theme-dark": "night", "keys": "Keyboard",
    "others": "Other words", "works-note": "Kept in this browser only.", "drop": "Delete {0}", "key": "Key of this server", "ok": "Use",
    "need-key": "This server wants a key.", "busy": "The server is busy. Try again in a moment.", "thinking": "Thinking…", "branching": "Writing branches…",
    "speed": "{0} tokens · {1} a second", "nothing": "The model ended the text here.", "stopped": "Stopped.", "gone": "The server cannot be reached.", "take": "Take this one",
    "branch": "Branch {0}", "sureness": "{0} % sure", "close": "Close", "surest": "the likeliest word", "tokens": "{0} tokens",
    "copied": "Link copied. It has the text and the settings in it.", "in-bar": "The link is in the address bar.",
  },
};
