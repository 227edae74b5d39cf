// Sets the colours that the visitor chose, light or dark. It runs before the browser
// draws the page, so that the page does not appear in the wrong colours first.
'use strict';
{
	const root = document.documentElement;
	const system = matchMedia('(prefers-color-scheme: dark)');
	const kept = () => { try { return localStorage.getItem('theme'); } catch { return null; } };
	const keep = (theme) => { try { localStorage.setItem('theme', theme); } catch { /* then the choice is only for this page */ } };
	const isDark = () => (root.dataset.theme ? root.dataset.theme === 'dark' : system.matches);

	if (kept()) root.dataset.theme = kept();

	document.addEventListener('DOMContentLoaded', () => {
		const button = document.getElementById('theme');
		const show = () => button.setAttribute('aria-pressed', String(isDark()));
		button.hidden = false;
		show();
		button.addEventListener('click', () => {
			root.dataset.theme = isDark() ? 'light' : 'dark';
			keep(root.dataset.theme);
			show();
			document.dispatchEvent(new Event('page:colours'));
		});
		system.addEventListener('change', () => { show(); document.dispatchEvent(new Event('page:colours')); });
	});
}
