"""`<notification-bell>` by itself: an inbox made up in memory, under the strictest content policy."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.support.bell_page import BellPage

pytestmark = pytest.mark.asyncio(loop_scope="module")

TABS = "all, unread, order=Orders, archived, snoozed"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(browser: Browser, site: str) -> AsyncIterator[BellPage]:
    bell = await BellPage.make(browser, site, reduced_motion="reduce")
    yield bell
    await bell.close()


@pytest.fixture
def bell(shared: BellPage) -> BellPage:
    return shared


async def test_each_tab_shows_its_own_and_follows_every_change(bell: BellPage) -> None:
    await bell.open(tabs=TABS)
    tab = bell.page.get_by_role("tab")
    await expect(tab).to_have_text(["All", "Unread", "Orders", "Archived", "Snoozed"])
    await expect(bell.rows).to_have_count(6)
    await tab.nth(1).click()
    await expect(bell.rows).to_have_count(3)
    await bell.run("client.markRead([client.items[0].id])")
    await expect(bell.rows).to_have_count(2)
    await tab.nth(2).click()
    await expect(bell.titles).to_have_text(["Your order is on its way", "Your invoice for October is ready"])
    await bell.run("client.archive([client.items[1].id])")
    await expect(bell.rows).to_have_count(1)
    await tab.nth(3).click()
    await expect(bell.titles).to_have_text(["Your order is on its way"])
    await expect(bell.page.get_by_role("tabpanel", name="Archived")).to_be_visible()
    await bell.page.get_by_role("button", name="Move to inbox: Your order").click()
    await expect(bell.page.get_by_text("Nothing here")).to_be_visible()
    await bell.run("bell.removeAttribute('tabs')")
    await expect(tab).to_have_count(0)
    await expect(bell.rows).to_have_count(6)


async def test_tabs_go_by_arrow_keys_in_the_direction_of_reading(bell: BellPage) -> None:
    await bell.open(tabs="all, unread, archived")
    chosen = bell.page.locator("[role=tab][aria-selected=true]")
    await bell.page.get_by_role("tab").first.focus()
    for key, name in (("ArrowRight", "Unread"), ("ArrowRight", "Archived"), ("ArrowRight", "All"), ("End", "Archived")):
        await bell.page.keyboard.press(key)
        await expect(chosen).to_have_text(name)
        await expect(chosen).to_be_focused()
    await bell.open(tabs="all, unread, archived", lang="ar", direction="rtl")
    await bell.page.get_by_role("tab").first.focus()
    await bell.page.keyboard.press("ArrowLeft")
    await expect(chosen).to_have_text("غير مقروءة")


async def test_one_is_marked_read_unread_and_archived_by_its_buttons(bell: BellPage) -> None:
    await bell.open(items=[{"title": "First"}, {"title": "Second"}])
    first = bell.rows.first
    await first.hover()
    await bell.page.get_by_role("button", name="Mark as read: First").click()
    await expect(bell.badge).to_have_text("1")
    await bell.page.get_by_role("button", name="Mark as unread: First").click()
    await expect(bell.badge).to_have_text("2")
    await bell.page.get_by_role("button", name="Archive: First").click()
    await expect(bell.titles).to_have_text(["Second"])
    await expect(bell.rows.first.locator(".main")).to_be_focused()
    await bell.page.get_by_role("button", name="Archive: Second").click()
    await expect(bell.page.get_by_text("You’re all caught up")).to_be_visible()
    await expect(bell.panel).to_be_focused()


async def test_snoozing_by_keyboard_alone(bell: BellPage) -> None:
    await bell.open(items=[{"title": "Later"}], tabs="all, snoozed")
    await bell.page.get_by_role("button", name="Snooze: Later").focus()
    await bell.page.keyboard.press("Enter")
    menu = bell.page.get_by_role("menu", name="Snooze")
    await expect(menu.get_by_role("menuitem").first).to_be_focused()
    await bell.page.keyboard.press("Escape")
    await expect(menu).to_have_count(0)
    await expect(bell.page.get_by_role("button", name="Snooze: Later")).to_be_focused()
    await bell.page.keyboard.press("Enter")
    await expect(menu.get_by_role("menuitem").first).to_be_focused()
    await bell.page.keyboard.press("ArrowDown")
    await expect(menu.get_by_role("menuitem").nth(1)).to_be_focused()
    await bell.page.keyboard.press("ArrowUp")
    await bell.page.keyboard.press("Enter")
    await expect(bell.rows).to_have_count(0)
    hour = await bell.run("(Date.parse(client.known[0].snoozed_until) - Date.now()) / 3600e3")
    assert 0.9 < hour <= 1
    await bell.page.get_by_role("tab", name="Snoozed").click()
    await bell.page.get_by_role("button", name="Bring back now: Later").click()
    await expect(bell.rows).to_have_count(0)
    await bell.page.get_by_role("tab", name="All").click()
    await expect(bell.titles).to_have_text(["Later"])


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2027-01-13T10:20:00", ["inAnHour 11:20", "thisEvening 18:00", "tomorrow 14 9:00", "nextWeek 18 9:00"]),
        ("2027-01-13T17:20:00", ["inAnHour 18:20", "tomorrow 14 9:00", "nextWeek 18 9:00"]),
        ("2027-01-17T20:00:00", ["inAnHour 21:00", "tomorrow 18 9:00"]),  # a Sunday: tomorrow is next week
        ("2027-01-18T08:00:00", ["inAnHour 9:00", "thisEvening 18:00", "tomorrow 19 9:00", "nextWeek 25 9:00"]),
    ],
)
async def test_what_snoozing_offers(bell: BellPage, now: str, expected: list[str]) -> None:
    await bell.open(shown=False)
    offered = await bell.run(
        """async (now) => {
          const { snoozeTimes } = await import('/bell/snooze-menu.js');
          const today = new Date(now);
          return snoozeTimes(today).map(({ name, until }) => [name, ...(until.getDate() === today.getDate() ? [] :
            [until.getDate()]), until.getHours() + ':' + String(until.getMinutes()).padStart(2, '0')].join(' '));
        }""",
        now,
    )
    assert offered == expected


async def test_buttons_of_a_notification_tell_the_page_and_lead_only_where_links_may(bell: BellPage) -> None:
    actions = [{"id": "yes", "label": "Approve"}, {"label": "Details", "url": "/details"}, {"label": "Third"}]
    await bell.open(items=[{"title": "Choose", "data": {"actions": actions}}])
    await expect(bell.rows.locator(".action")).to_have_text(["Approve", "Details"])
    approve = bell.page.get_by_role("button", name="Approve")
    await approve.focus()
    await bell.page.keyboard.press("Enter")
    await bell.page.get_by_role("link", name="Details").click()
    told = [detail["action"] for kind, detail in await bell.run("heard") if kind == "action"]
    details = await bell.run("location.origin + '/details'")
    assert told == [
        {"id": "yes", "label": "Approve", "url": None},
        {"id": "Details", "label": "Details", "url": details},
    ]
    await expect(bell.badge).to_be_hidden()

    wrong: list[object] = [{"label": "Run", "url": "javascript:alert(1)"}, {"label": "  "}, 7, None, {"label": {}}]
    shapes: list[object] = [wrong, "no list", {"length": 2}, [[]]]
    for given in shapes:
        await bell.open(items=[{"title": "Wrong", "data": {"actions": given}}])
        await expect(bell.rows.locator(".action[href]")).to_have_count(0)
        await expect(bell.titles).to_have_text(["Wrong"])


async def test_hostile_notifications_are_only_text(bell: BellPage) -> None:
    markup = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    await bell.open(
        items=[
            {"title": markup, "body": markup, "actor": {"name": markup, "avatar_url": "javascript:alert(3)"}},
            {"title": "W" * 10_000, "body": "M" * 10_000, "action_url": "javascript:alert(4)"},
            {"title": "\u202eevil", "body": "\u2067\u202e" * 50, "actor": {"name": "\u202e"}},
            {"title": "👩‍👩‍👧‍👦" * 200, "body": "Z̸̧̢̛̺a̷̡̨̛" * 300, "actor": {"name": 7, "avatar_url": {}}},
            {"title": "", "actor": {"name": "\ud83d"}, "data": {"actions": [{"label": markup}]}},
        ],
        toasts="",
    )
    await expect(bell.rows).to_have_count(5)
    await expect(bell.titles.first).to_have_text(markup)
    assert await bell.page.locator("notification-bell li :is(img, script, [href])").count() == 0
    await bell.rows.nth(1).locator(".main").click()
    heights = await bell.run("[...bell.shadowRoot.querySelectorAll('li')].map((row) => row.offsetHeight)")
    assert max(heights) < 260
    widths = await bell.run(
        "[document.documentElement.scrollWidth, bell.shadowRoot.querySelector('.scroll').scrollWidth]"
    )
    assert widths[0] <= 900
    assert widths[1] <= 400
    # What overrides the direction of one text does not reach the next.
    left = "(name) => bell.shadowRoot.querySelectorAll('li')[2].querySelector(name).getBoundingClientRect().left"
    assert await bell.run(left, "time") == await bell.run(left.replace("[2]", "[3]"), "time")
    names = await bell.run("[...bell.shadowRoot.querySelectorAll('li .icon')].map((one) => one.ariaLabel.length)")
    assert max(names) < 120
    await bell.page.keyboard.press("Escape")
    await bell.run("(markup) => client.deliver({ title: markup, body: markup, actor: { name: markup } })", markup)
    await expect(bell.toasts.locator(".title")).to_have_text(markup)
    assert await bell.toasts.locator("img, script").count() == 0


async def test_avatars_are_pictures_only_from_good_addresses_and_initials_otherwise(bell: BellPage) -> None:
    await bell.open(
        items=[
            {"title": "a", "actor": {"name": "Ada King Lovelace", "avatar_url": "/favicon.svg"}},
            {"title": "b", "actor": {"name": "李 小龙", "avatar_url": "/missing.png"}},
            {"title": "çelik", "actor": None},
            {"title": "— 7 things", "actor": {"name": " "}},
            {"title": "🎉", "actor": {}},
        ]
    )
    avatars = bell.page.locator("notification-bell .avatar")
    await expect(avatars).to_have_text(["AL", "李小", "Ç", "7T", "•"])
    await expect(avatars.nth(0).locator("img")).to_have_attribute("referrerpolicy", "no-referrer")
    await expect(avatars.nth(1).locator("img")).to_have_count(0)
    bell._complaints.clear()  # the missing picture is in the console


async def test_days_stand_above_their_notifications_and_times_age(bell: BellPage) -> None:
    await bell.page.clock.install(time="2027-01-15T12:00:00")
    await bell.open(shown=False)
    await bell.run(
        """(hours) => client.become({ items: hours.map((one) =>
          sample.sampleItem({ title: one + ' h' }, Date.now() - one * 3600e3)) })""",
        [0, 0.5, 5, 13, 24.5, 60, 24 * 40],
    )
    await bell.button.click()
    await expect(bell.page.locator("notification-bell .day:visible")).to_have_text(
        ["Today", "Yesterday", "Wednesday, January 13, 2027", "Sunday, December 6, 2026"]
    )
    times = bell.page.locator("notification-bell time")
    await expect(times).to_have_text(
        ["now", "30 min. ago", "5 hr. ago", "13 hr. ago", "11:30 AM", "12:00 AM", "12:00 PM"]
    )
    await bell.page.clock.fast_forward("02:00")
    await expect(times.first).to_have_text("2 min. ago")
    await bell.page.clock.resume()


@pytest.mark.parametrize("lang", ["en", "de-AT", "fr", "es", "pt-BR", "ar", "zh-Hant", "ja", "tlh", "not a tag"])
async def test_every_locale_speaks_and_unknown_ones_are_english(bell: BellPage, lang: str) -> None:
    await bell.open(lang=lang, tabs="all, archived")
    expected = {
        "de-AT": "Benachrichtigungen",
        "fr": "Notifications",
        "es": "Notificaciones",
        "pt-BR": "Notificações",
        "ar": "الإشعارات",
        "zh-Hant": "通知",
        "ja": "通知",
    }.get(lang, "Notifications")
    await expect(bell.page.get_by_role("dialog", name=expected)).to_be_visible()
    assert await bell.panel.get_attribute("dir") == ("rtl" if lang == "ar" else "ltr")
    number = await bell.run("bell.words.say('unreadCount', { count: 3 })")
    assert await bell.button.get_attribute("aria-label") == f"{expected}, {number}"


async def test_a_page_adds_a_language_and_changes_words(bell: BellPage) -> None:
    await bell.open(lang="nl")
    await bell.run(
        """async () => {
          const { defineLocale } = await import('/bell/messages.js');
          const unreadCount = { one: '{count} ongelezen melding', other: '{count} ongelezen' };
          defineLocale('nl', { label: 'Meldingen', unreadCount });
          defineLocale('nl-BE', { markAllRead: 'Alles gezien' });
        }"""
    )
    await expect(bell.page.get_by_role("dialog", name="Meldingen")).to_be_visible()
    await expect(bell.page.get_by_role("button", name="Mark all read")).to_be_visible()
    await bell.run(
        "document.documentElement.lang = 'nl-BE'; client.markRead(client.items.slice(1).map(({ id }) => id))"
    )
    await expect(bell.page.get_by_role("button", name="Alles gezien")).to_be_visible()
    await expect(bell.button).to_have_accessible_name("Meldingen, 1 ongelezen melding")


async def test_all_tables_have_the_same_words_and_places_for_numbers(bell: BellPage) -> None:
    await bell.open(shown=False)
    tables = await bell.run(
        """async () => {
          const names = ['tabs', 'snooze-menu', 'settings', 'push', 'preferences'];
          for (const name of names) await import('/bell/' + name + '.js');
          const { wordsFor } = await import('/bell/messages.js');
          const tables = {};
          for (const tag of ['de', 'fr', 'es', 'pt', 'ar', 'zh', 'ja']) {
            tables[tag] = (await import('/locales/' + tag + '.js')).default;
          }
          const values = { count: 5, title: '{title}', action: '{action}' };
          const english = Object.keys(tables.de).map((key) => [key, wordsFor('en').say(key, values)]);
          return [tables, Object.fromEntries(english)];
        }"""
    )
    others, english = tables
    for tag, table in others.items():
        assert sorted(table) == sorted(english), tag
        for key, message in table.items():
            forms = message.values() if isinstance(message, dict) else [message]
            for place in ("{title}", "{action}"):
                assert all((place in form) == (place in english[key]) for form in forms), (tag, key)
    assert not [key for key, text in english.items() if text == key]


async def test_the_tab_key_stays_inside_and_closing_gives_the_focus_back(bell: BellPage) -> None:
    await bell.open(items=[{"title": "Only"}], tabs="all, unread", preferences="")
    await expect(bell.panel).to_be_focused()
    inside = "bell.shadowRoot.querySelector('.panel').contains(bell.shadowRoot.activeElement)"
    stops = []
    for _ in range(12):
        await bell.page.keyboard.press("Tab")
        assert await bell.run(inside)
        stops.append(await bell.run("bell.shadowRoot.activeElement.className || bell.shadowRoot.activeElement.id"))
    assert stops[0] in stops[1:], "it went round"
    await bell.page.locator(".panel").focus()
    await bell.page.keyboard.press("Shift+Tab")
    assert await bell.run(inside)
    await bell.page.keyboard.press("Escape")
    await expect(bell.button).to_be_focused()
    assert [detail for kind, detail in await bell.run("heard") if kind == "toggle"] == [{"open": True}, {"open": False}]


async def test_the_page_draws_its_own_rows_in_its_own_styles(bell: BellPage) -> None:
    await bell.open(shown=False)
    await bell.run(
        """() => { bell.renderItem = (item) => {
          if (item.category === 'order') return null;
          const own = document.createElement('p');
          own.textContent = (item.read_at ? 'read: ' : 'new: ') + item.title;
          return own;
        }; }"""
    )
    await bell.button.click()
    own = bell.page.locator("notification-bell > p")
    await expect(own).to_have_count(4)
    await expect(own.first).to_be_visible()
    await expect(bell.rows.nth(1).locator(".title")).to_be_visible()
    await expect(bell.rows.first.locator(".title")).to_be_hidden()
    await own.filter(has_text="new: Grace").click()
    await expect(bell.panel).to_be_hidden()
    await bell.button.click()
    await expect(own.filter(has_text="read: Grace")).to_have_count(1)
    await bell.run("client.archive(client.items.map(({ id }) => id))")
    await expect(own).to_have_count(0)
    await bell.run("client.become({ items: sample.sampleItems() }); bell.renderItem = null")
    await expect(bell.rows.first.locator(".title")).to_be_visible()


async def test_slots_replace_what_they_name(bell: BellPage) -> None:
    await bell.open(items=[], shown=False)
    await bell.run(
        """() => { for (const slot of ['icon', 'tools', 'empty', 'footer']) {
          const own = document.createElement('b');
          own.slot = slot;
          own.textContent = 'own ' + slot;
          bell.append(own);
        } }"""
    )
    await bell.button.click()
    for slot in ("icon", "tools", "empty", "footer"):
        await expect(bell.page.get_by_text(f"own {slot}")).to_be_visible()
    await expect(bell.page.get_by_text("You’re all caught up")).to_be_hidden()


async def test_a_long_list_has_elements_only_around_what_is_visible(bell: BellPage) -> None:
    await bell.open(items=10_000, shown=False)
    await bell.run("client.showAll()")
    await bell.button.click()
    rows = "bell.shadowRoot.querySelectorAll('li').length"
    await bell.until(
        f"{rows} < 60 && {rows} > 5 && bell.shadowRoot.querySelector('li').getAttribute('aria-setsize') === '10000'"
    )
    assert await bell.rows.first.get_attribute("aria-posinset") == "1"

    scroll = "bell.shadowRoot.querySelector('.scroll')"
    for part in (0.5, 0.9, 0.1):
        await bell.run(f"{scroll}.scrollTop = {scroll}.scrollHeight * {part}")
        await bell.until(
            f"Math.abs(bell.shadowRoot.querySelector('li').getAttribute('aria-posinset') - {part} * 10000) < 1000"
        )
        assert await bell.run(rows) < 60
    # What is on the screen stays where it is while others arrive above.
    visible = f"""() => {{
      const edge = {scroll}.getBoundingClientRect().top;
      const row = [...bell.shadowRoot.querySelectorAll('li')].find((one) => one.getBoundingClientRect().bottom > edge);
      const {{ top }} = row.getBoundingClientRect();
      return [row.querySelector('.title').textContent, row.getAttribute('aria-posinset'), top];
    }}"""
    title, position, top = await bell.run(visible)
    await bell.run("client.deliver(...Array.from({ length: 7 }, () => ({ title: 'Above' })))")
    await bell.until(f"({visible})()[1] === '{int(position) + 7}'")
    after = await bell.run(visible)
    assert after[0] == title
    assert abs(after[2] - top) < 2
    await bell.page.locator("notification-bell .panel").focus()
    await bell.page.keyboard.press("End")
    await bell.until("bell.shadowRoot.activeElement.closest('li')?.ariaPosInSet === '10007'")
    await bell.page.keyboard.press("Home")
    await bell.until("bell.shadowRoot.activeElement.closest('li')?.ariaPosInSet === '1'")
    assert await bell.run(rows) < 60


async def test_the_next_pages_come_by_scrolling(bell: BellPage) -> None:
    await bell.open(items=120)
    await expect(bell.rows).to_have_count(25)
    for _ in range(6):
        await bell.page.locator("notification-bell .scroll").evaluate(
            "(scroll) => (scroll.scrollTop = scroll.scrollHeight)"
        )
        await bell.run("new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))")
    await bell.until("bell.shadowRoot.querySelectorAll('li').length === 120")
    await expect(bell.page.get_by_role("button", name="Show older")).to_be_hidden()


async def test_toasts_wait_for_whoever_reads_them(bell: BellPage) -> None:
    await bell.page.clock.install()
    await bell.open(items=[], toasts="", shown=False)
    await bell.until("bell.shadowRoot.querySelector('.toasts') !== null")
    await bell.run("client.deliver({ title: 'One', action_url: '/one' }, { title: 'Two' })")
    await expect(bell.toasts).to_have_count(2)
    await bell.toasts.first.hover()
    await bell.page.clock.fast_forward("01:00")
    await expect(bell.toasts).to_have_count(2)
    await bell.page.mouse.move(10, 10)
    await bell.page.clock.fast_forward("00:08")
    await expect(bell.toasts).to_have_count(0)

    for number in range(5):
        await bell.run(f"client.deliver({{ title: 'Number {number}', action_url: '/{number}' }})")
    await expect(bell.toasts.locator(".title")).to_have_text(["Number 2", "Number 3", "Number 4"])
    await expect(bell.page.get_by_role("status")).to_have_text("New: Number 4")
    await bell.toasts.first.get_by_role("link").click()
    await expect(bell.toasts).to_have_count(2)
    assert [detail["item"]["title"] for kind, detail in await bell.run("heard") if kind == "open"] == ["Number 2"]
    await bell.run("client.markRead([client.items[0].id])")  # on another device, say
    await expect(bell.toasts).to_have_count(1)
    await bell.toasts.get_by_role("button", name="Close").click()
    await expect(bell.toasts).to_have_count(0)
    await bell.button.click()
    await bell.run("client.deliver({ title: 'In the open list' })")
    await expect(bell.titles.first).to_have_text("In the open list")
    await expect(bell.toasts).to_have_count(0)
    await bell.page.clock.resume()


async def test_numbers_in_the_title_and_on_the_icon_follow_the_badge(bell: BellPage) -> None:
    await bell.open(shown=False)
    await bell.run(
        """() => {
          window.icon = [];
          navigator.setAppBadge = async (count) => icon.push(count);
          navigator.clearAppBadge = async () => icon.push('gone');
        }"""
    )
    await bell.run("bell.setAttribute('title-badge', ''); bell.setAttribute('app-badge', '')")
    await bell.until("icon.length === 1")
    await expect(bell.page).to_have_title("(3) App")
    await bell.run("document.title = 'Orders'")
    await expect(bell.page).to_have_title("(3) Orders")
    await bell.run("client.markAllRead()")
    await expect(bell.page).to_have_title("Orders")
    await bell.run("client.deliver(...Array.from({ length: 120 }, () => ({ title: 'x' })))")
    await expect(bell.page).to_have_title("(99+) Orders")
    await expect(bell.badge).to_have_text("99+")
    await bell.run("bell.removeAttribute('title-badge'); bell.removeAttribute('app-badge')")
    await expect(bell.page).to_have_title("Orders")
    assert await bell.run("icon") == [3, 0, 120, "gone"]


async def test_a_chime_sounds_once_for_a_burst_and_only_after_a_click(bell: BellPage) -> None:
    await bell.open(shown=False, sound="/ding.mp3")
    await bell.run(
        """() => {
          window.played = [];
          window.Audio = class { constructor(url) { this.play = async () => played.push(url); } };
        }"""
    )
    attached = "import('/bell/sound.js').then(() => true)"
    assert await bell.run(attached)
    await bell.run("client.deliver({ title: 'Too early' })")
    await bell.button.click()
    await bell.run("client.deliver({ title: 'One' }); client.deliver({ title: 'Two' })")
    assert await bell.run("played") == ["/ding.mp3"]


async def test_preferences_are_there_only_if_the_hub_has_them(bell: BellPage) -> None:
    await bell.open(preferences="")
    gear = bell.page.get_by_role("button", name="Settings")
    await expect(gear).to_have_count(0)
    offered = {
        "data": [
            {
                "category": "order",
                "label": "Orders",
                "channels": {"in_app": True, "email": False},
                "locked": ["in_app"],
            },
            {"category": 7},
            {"category": "x", "channels": None},
        ]
    }
    await bell.run(
        """(offered) => {
          window.calls = [];
          client.answer = (path, options) => {
            calls.push([path, options?.method ?? 'GET', options?.body]);
            return new Response(JSON.stringify(offered), { status: options && window.refuse ? 503 : 200 });
          };
          bell.removeAttribute('preferences');
          bell.setAttribute('preferences', '');
        }""",
        offered,
    )
    await gear.click()
    await expect(bell.page.get_by_role("button", name="Back")).to_be_focused()
    await expect(bell.page.get_by_role("group", name="Orders")).to_be_visible()
    await expect(bell.page.get_by_role("switch", name="Here")).to_be_disabled()
    email = bell.page.get_by_role("switch", name="E-mail")
    await email.click()
    await expect(email).to_be_checked()
    path = "/v1/users/sample/preferences"
    change = {"data": [{"category": "order", "channels": {"email": True}}]}
    assert await bell.run("calls") == [[path, "GET", None], [path, "PATCH", change]]
    await bell.run("window.refuse = true")
    await email.click()
    await expect(bell.page.get_by_role("alert")).to_have_text("Not saved. Please try again.")
    await expect(email).to_be_checked()
    await bell.page.get_by_role("button", name="Back").click()
    await expect(gear).to_be_focused()
    await expect(bell.rows).to_have_count(6)


async def test_what_cannot_be_read_says_so_and_is_tried_again(bell: BellPage) -> None:
    await bell.open(items=[], tabs="all, archived")
    await bell.run("client.become({ loaded: false, status: 'connecting' })")
    await expect(bell.page.get_by_role("img", name="Loading")).to_be_visible()
    await bell.run("client.become({ status: 'waiting' })")
    await expect(bell.page.get_by_text("Notifications can’t be loaded")).to_be_visible()
    await bell.page.get_by_role("button", name="Try again").click()
    await expect(bell.page.get_by_text("You’re all caught up")).to_be_visible()
    await bell.run("client.become({ status: 'refused' })")
    await expect(bell.page.get_by_text("Signed out")).to_be_visible()
    await bell.run("client.become({ status: 'waiting' })")
    await expect(bell.page.get_by_text("Offline. What you do now")).to_be_visible()
    await bell.page.get_by_role("tab", name="Archived").click()
    await expect(bell.page.get_by_text("Notifications can’t be loaded")).to_be_visible()
    await bell.run("client.start()")
    await expect(bell.page.get_by_text("Nothing here")).to_be_visible()


async def test_properties_set_before_the_element_is_defined_are_taken(bell: BellPage) -> None:
    await bell.open(shown=False)
    await bell.run(
        """async () => {
          const early = document.createElement('early-bell');
          early.client = new sample.SampleClient();
          early.renderItem = () => document.createElement('hr');
          document.querySelector('main').append(early);
          customElements.define('early-bell', class extends NotificationBell {});
          early.show();
        }"""
    )
    await expect(bell.page.locator("early-bell .badge")).to_have_text("3")
    await expect(bell.page.locator("early-bell > hr")).to_have_count(6)
    await bell.run("document.querySelector('early-bell').remove()")


async def test_it_works_inside_a_shadow_root(bell: BellPage) -> None:
    await bell.open(shown=False)
    await bell.run(
        """() => {
          const host = document.createElement('div');
          host.lang = 'de';
          host.attachShadow({ mode: 'open' }).append(bell);
          document.querySelector('main').append(host);
        }"""
    )
    await bell.button.click()
    await expect(bell.page.get_by_role("dialog", name="Benachrichtigungen")).to_be_visible()
    await expect(bell.rows.first).to_be_visible()
    await bell.page.keyboard.press("ArrowDown")
    await bell.page.keyboard.press("Enter")
    await expect(bell.badge).to_have_text("2")


async def test_importing_the_class_defines_nothing(bell: BellPage) -> None:
    await bell.open(shown=False)
    fresh = await bell.page.context.new_page()
    await fresh.goto(bell.page.url.replace("/app", "/package.json"))
    script = """async () => {
      const { NotificationBell } = await import('/notification-bell.js');
      return [typeof NotificationBell, customElements.get('notification-bell') === undefined];
    }"""
    assert await fresh.evaluate(script) == ["function", True]
    await fresh.close()
