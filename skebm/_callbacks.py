"""scikit-learn's callbacks (1.9 and later), or stand-ins that do nothing on older versions."""

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # scikit-learn < 1.9

    class _NoContext:
        """Answers the calls of a fit that nobody watches."""

        def subcontext(self, *_, **__):
            return self

        def call_on_fit_task_begin(self, **_):
            return self

        def call_on_fit_task_end(self, **_):
            return False

    class CallbackSupportMixin:
        """Mixin of estimators that would support callbacks."""

        def _init_callback_context(self, **_):
            return _NoContext()

    def with_callbacks(fit):
        """Leave ``fit`` as it is."""
        return fit


__all__ = ["CallbackSupportMixin", "with_callbacks"]
