// Copies text, also on a page that came over plain HTTP from another machine, where browsers give
// scripts no clipboard.

/** Whether it was copied. */
export async function copyText(text: string): Promise<boolean> {
  if (navigator.clipboard) {
    const copied = await navigator.clipboard.writeText(text).then(
      () => true,
      () => false,
    );
    if (copied) return true;
  }
  const box = document.createElement('textarea');
  box.value = text;
  box.readOnly = true;
  box.className = 'fixed -top-96';
  const focused = document.activeElement;
  // Inside of an open dialog, because nothing else can have the focus then.
  (document.querySelector('dialog[open]') ?? document.body).append(box);
  box.select();
  const copied = document.execCommand('copy');
  box.remove();
  if (focused instanceof HTMLElement) focused.focus();
  return copied;
}
