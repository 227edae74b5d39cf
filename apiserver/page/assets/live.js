// Fetches the page again every few seconds, and when the visitor chooses another view
// of the page. It changes only the elements that differ. So the page keeps its focus,
// its selection and its scroll position.
'use strict';
{
	const every = 10_000; // milliseconds
	const parts = ['link[rel=canonical]', 'main', '#updated'];
	let tag = null; // the ETag of the page that is shown
	let underway = null; // aborts the fetch in flight; null if there is none

	// write changes have until it equals want. If a script drew an element
	// (data-drawn), write does not change the element's children.
	const write = (have, want) => {
		if (have.nodeType !== want.nodeType || have.nodeName !== want.nodeName || keyOf(have) !== keyOf(want)) {
			have.replaceWith(document.importNode(want, true));
			return;
		}
		if (have.nodeType === Node.TEXT_NODE) {
			if (have.data !== want.data) have.data = want.data;
			return;
		}
		if (have.nodeType !== Node.ELEMENT_NODE || have.isEqualNode(want)) return;
		writeAttributes(have, want);
		if ('drawn' in have.dataset) return;
		const wanted = [...want.childNodes];
		wanted.forEach((child, i) => {
			if (i < have.childNodes.length) write(have.childNodes[i], child);
			else have.append(document.importNode(child, true));
		});
		while (have.childNodes.length > wanted.length) have.lastChild.remove();
	};

	const keyOf = (node) => (node.dataset ? node.dataset.key : undefined);

	const writeAttributes = (have, want) => {
		for (const { name, value } of want.attributes) {
			if (have.getAttribute(name) !== value) have.setAttribute(name, value);
		}
		if ('drawn' in have.dataset) return; // keep the attributes that scripts have added
		for (const { name } of [...have.attributes]) {
			if (name === 'open') continue; // the visitor has opened it
			if (!want.hasAttribute(name)) have.removeAttribute(name);
		}
		// If a visitor changed a value, the attributes do not show it. Set the value too.
		if (have === document.activeElement) return;
		if (have.type === 'checkbox') have.checked = want.hasAttribute('checked');
		else if (have.type === 'search') have.value = want.getAttribute('value') ?? '';
		else if (have.nodeName === 'OPTION') have.selected = want.hasAttribute('selected');
	};

	// fetchPage fetches a URL and shows it. It throws an error if the fetch fails.
	const fetchPage = async (url, signal) => {
		const headers = { Accept: 'text/html' };
		if (tag && url === location.href) headers['If-None-Match'] = tag;
		const response = await fetch(url, { headers, signal, cache: 'no-store' });
		if (response.status === 304) return;
		if (!response.ok && response.status !== 404) throw new Error(`${response.status}`);
		const next = new DOMParser().parseFromString(await response.text(), 'text/html');
		if (signal.aborted) return;
		tag = response.headers.get('ETag');
		document.title = next.title;
		document.body.toggleAttribute('data-live', next.body.hasAttribute('data-live'));
		for (const part of parts) {
			const have = document.querySelector(part);
			const want = next.querySelector(part);
			if (have && want) write(have, want);
		}
		document.dispatchEvent(new Event('page:written'));
	};

	// load shows a URL and returns whether it succeeded. The next call of load aborts it.
	const load = async (url) => {
		underway?.abort();
		const mine = underway = new AbortController();
		try {
			await fetchPage(url, mine.signal);
			lost(false);
			return true;
		} catch (error) {
			if (error.name !== 'AbortError') lost(true);
			return false;
		} finally {
			if (underway === mine) underway = null;
		}
	};

	const lost = (is) => { document.getElementById('lost').hidden = !is; };

	// turn shows another view of the page. how is the change of the browser's history:
	// pushState adds an entry, replaceState replaces the current entry. Without how,
	// the history already has the entry.
	const turn = async (url, how) => {
		if (how) history[how](null, '', url);
		if (await load(location.href)) {
			// Show the shortest URL of this view, so that the visitor can share it.
			history.replaceState(null, '', document.querySelector('link[rel=canonical]')?.getAttribute('href') ?? location.href);
			document.getElementById('told').textContent = document.getElementById('count')?.textContent ?? '';
		} else if (!underway) {
			location.reload(); // the browser then shows what is wrong
		}
	};

	// viewOf returns the URL of the view that a form selects.
	const viewOf = (form) => {
		const query = new URLSearchParams();
		for (const [name, value] of new FormData(form)) if (value) query.set(name, value);
		return `${form.getAttribute('action')}?${query}`;
	};

	document.addEventListener('click', (event) => {
		const link = event.target.closest?.('a[data-turn]');
		if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
		event.preventDefault();
		const below = link.closest('.paging') || link.hash === '#farmers';
		turn(link.href, 'pushState').then(() => {
			if (!below) return;
			// The visitor must see the first of the new rows.
			const rows = document.getElementById('farmers');
			if (link.hash || rows.getBoundingClientRect().top < 0) rows.scrollIntoView();
		});
	});
	document.addEventListener('submit', (event) => {
		if (!event.target.matches('form.filter')) return;
		event.preventDefault();
		turn(viewOf(event.target), 'pushState');
	});
	let typing;
	document.addEventListener('input', (event) => {
		const form = event.target.closest('form.filter');
		if (!form) return;
		clearTimeout(typing);
		const isWord = event.target.type === 'search'; // an unfinished word gets no history entry
		typing = setTimeout(() => turn(viewOf(form), isWord ? 'replaceState' : 'pushState'), isWord ? 250 : 0);
	});
	addEventListener('popstate', () => turn(location.href));

	const look = () => {
		if (document.body.hasAttribute('data-live') && !document.hidden && !underway) load(location.href);
	};

	// Times are UTC. Visitors in another time zone also see their own.
	const local = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' });
	const hour = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' });
	const addLocal = () => {
		for (const time of document.querySelectorAll('time[datetime]')) {
			const at = new Date(time.dateTime);
			time.title = `${local.format(at)} in your time zone`;
			if (!at.getTimezoneOffset() || !/:\d\d UTC$/.test(time.textContent)) continue;
			const sameDay = at.getDate() === at.getUTCDate();
			time.append(` (${(sameDay ? hour : local).format(at)} local)`);
		}
	};
	document.addEventListener('page:written', addLocal);
	addLocal();

	// Buttons that copy a text. Without TLS, browsers offer only the old way.
	const copy = async (text) => {
		if (navigator.clipboard) return navigator.clipboard.writeText(text);
		const area = document.createElement('textarea');
		area.value = text;
		document.body.append(area);
		area.select();
		document.execCommand('copy');
		area.remove();
	};
	document.addEventListener('click', async (event) => {
		const button = event.target.closest?.('button[data-copy]');
		if (!button) return;
		await copy(button.dataset.copy);
		document.getElementById('told').textContent = `Copied ${button.dataset.copy}`;
		button.classList.add('copied');
		setTimeout(() => button.classList.remove('copied'), 1500);
	});

	setInterval(look, every);
	document.addEventListener('visibilitychange', look);
	document.documentElement.classList.add('scripted');
}
